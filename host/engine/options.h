// What each verb is asked to do. Filled by cli, acted on by the engine; torch-free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/compute.h"
#include "base/files.h"
#include "base/json.h"
#include "data/data_location.h"
#include "fusion/mode.h"
#include "training/gate_training_options.h"

namespace moecollab::engine {

struct CommonOptions {
  fs::path registry = "registry";
  std::optional<fs::path> encoder;    // --encoder: overrides the registry's path
  int max_length = 256;               // tokens; of a new registry, and of encode and tokenize
  int64_t batch_tokens = 2048;        // real tokens of one encoder pass
  std::optional<fs::path> cache_dir;  // none: the user's cache folder
  bool no_cache = false;
  Compute compute;
  uint64_t seed = 1;
  std::string command;  // as typed, for the report
};

struct TrainExpertOptions : CommonOptions {
  data::DataOptions data;
  std::string name, kind, domain;
  std::vector<std::string> settings;  // --set KEY=VALUE over the manifest's [config]
  std::vector<int64_t>
      layers;           // --layers: which encoder layers it reads; empty: the kind's default
  std::string pooling;  // --pooling: mean or cls; empty: the kind's default
  // None: what the kind's manifest says under [training], or else the host's own default.
  std::optional<int> epochs, patience;
  std::optional<double> lr, warmup, clip;
  std::optional<int64_t> batch;
  std::optional<std::string> schedule;  // constant or linear
  std::string class_weights = "none";   // none or balanced
  bool no_refit = false;
  bool force = false;
  bool resume = false;
  double checkpoint_seconds = 30;
  std::string weights = "f32";  // or bf16: of the package
  // Of training; none: what the kind's [training] precision says, resolved on this CPU.
  std::optional<Precision> training_precision;
};

struct TrainGateOptions : CommonOptions {
  data::DataOptions data;
  training::GateTrainingOptions gate;  // its seed is the common one
};

struct TrainBaselineOptions : CommonOptions {
  data::DataOptions data;
  std::string kind;  // head or deep
  // None: training::HeadTrainingOptions' for the head, the kind's [training] for the deep model.
  std::optional<int> epochs;
  std::optional<double> lr;
  std::optional<int64_t> batch;
  std::optional<double> weight_decay;  // head
  std::vector<std::string> settings;   // the rest: deep, as train-expert's
  bool resume = false;
  double checkpoint_seconds = 30;
};

struct GrowOptions : CommonOptions {
  data::DataOptions data;
  std::vector<std::string> names;
  int64_t texts = 64;  // of the new domain, to fit on
  bool prototype = false;
  bool guard = false;
};

struct AdmitOptions : CommonOptions {
  data::DataOptions data;  // training files are judged on their held-out texts, others whole
  fs::path package;
  int64_t texts = 64;     // of the candidate's domain, to fit its row of the gate on
  int permutations = 32;  // of the Shapley sampling, each with its reverse
};

struct TrainRoundsOptions : CommonOptions {
  data::DataOptions data;
  int rounds = 3;
  bool joint = false;                      // one round, in which experts and gate learn end to end
  int epochs = 10;                         // of it
  std::optional<double> lambda1, lambda2;  // none: those of the gate that is there
};

// sweep: the gate's options, but for lambda1 and lambda2, which it tries in every combination.
struct SweepOptions : TrainGateOptions {
  std::vector<double> lambdas1, lambdas2;  // empty: the paper's range
  std::optional<fs::path> out;             // folder of the results; none: REGISTRY/sweep
};

struct EvalOptions : CommonOptions {
  data::DataOptions data;
  std::optional<fusion::Mode> fusion;  // none: the gate's own
  std::optional<int64_t> top_k;
};

struct PredictOptions : CommonOptions {
  std::vector<fs::path> files;  // none: standard input
  data::Format format = data::Format::kAuto;
  std::optional<fusion::Mode> fusion;
  std::optional<int64_t> top_k;
  int max_latency_ms = 20;  // how long a text may wait for others to share its batch
  int64_t batch = 128;      // texts answered together at most
  double unknown_risk = 0.05;
  bool strict = false;  // stop at the first line that cannot be read
};

struct EncodeOptions : CommonOptions {
  fs::path input, output;
  data::Format format = data::Format::kAuto;
  std::optional<int> hidden;  // --hidden L: also the token states of layer L
};

enum class BenchStage { kAll, kEncode, kExpert };

struct BenchOptions : CommonOptions {
  BenchStage stage = BenchStage::kAll;
  int64_t texts = 512;
};

}  // namespace moecollab::engine
