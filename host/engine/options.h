// What each verb is asked to do. Filled by cli, acted on by the engine; torch-free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/compute.h"
#include "base/files.h"
#include "base/json.h"
#include "contribution/admission_options.h"
#include "contribution/alternation_options.h"
#include "contribution/expert_options.h"
#include "contribution/growth_options.h"
#include "data/data_location.h"
#include "scale/scale_plan.h"
#include "training/gate_training_options.h"
#include "worker/isolation_options.h"

namespace moecollab::engine {

// Where a verb finds and leaves things.
struct WhereOptions {
  fs::path registry = "registry";
  std::optional<fs::path> encoder;    // --encoder: overrides the registry's path
  std::optional<int> max_length;      // of a new registry, encode, tokenize; none: the encoder's
  std::optional<fs::path> cache_dir;  // none: the user's cache folder
  bool no_cache = false;
};

// How a run computes, whatever it is about.
struct RunOptions {
  Compute compute;
  bool auto_precision = false;          // eval, predict: the fastest that a record allows
  std::optional<int64_t> batch_tokens;  // of one encoder pass; none: usual_batch_tokens()
  uint64_t seed = 1;
  std::string command;  // as typed, for the report
  worker::IsolationOptions isolation;
};

struct CommonOptions : WhereOptions, RunOptions {};

struct TrainExpertOptions : CommonOptions {
  data::DataOptions data;
  contribution::ExpertOptions expert;  // but for its seed, which is CommonOptions'
};

struct TrainGateOptions : CommonOptions {
  data::DataOptions data;
  training::GateTrainingOptions gate;  // its seed is the common one
};

enum class BaselineKind { kHead, kDeep };
struct TrainBaselineOptions : CommonOptions {
  data::DataOptions data;
  BaselineKind kind = BaselineKind::kHead;
  // None: training::HeadTrainingOptions' for the head, the kind's [training] for the deep model.
  std::optional<int> epochs;
  std::optional<double> lr;
  std::optional<int64_t> batch;
  std::optional<double> weight_decay;           // head
  Json config = Json::object();                 // deep: over the kind's [config]
  contribution::CheckpointOptions checkpoints;  // deep
};

struct GrowOptions : CommonOptions {
  data::DataOptions data;
  contribution::GrowthOptions growth;
};

struct AdmitOptions : CommonOptions {
  data::DataOptions data;  // training files are judged on their held-out texts, others whole
  fs::path package;
  contribution::AdmissionOptions admission;
};

struct TrainRoundsOptions : CommonOptions {
  data::DataOptions data;
  contribution::AlternationOptions alternation;  // but for its seed, which is CommonOptions'
  std::optional<double> lambda1, lambda2;        // none: those of the gate that is there
};

// sweep: the gate's options, but for lambda1 and lambda2, which it tries in every combination.
struct SweepOptions : TrainGateOptions {
  std::vector<double> lambdas1, lambdas2;  // empty: the paper's range
  std::optional<fs::path> out;             // folder of the results; none: REGISTRY/sweep
};

struct ScaleOptions : CommonOptions {
  data::DataOptions data;  // a folder: `split` judges, experts and gates are fitted on train
  scale::ScalePlan plan;
  std::string kind = "adapter";  // of the experts
  std::optional<fs::path> out;   // folder of the results; none: REGISTRY/scale
};

struct EncodeOptions : CommonOptions {
  fs::path input, output;
  data::Reading reading;
  std::optional<int> hidden;  // --hidden L: also the token states of layer L
};

enum class BenchStage { kAll, kEncode, kExpert };
struct BenchOptions : CommonOptions {
  BenchStage stage = BenchStage::kAll;
  int64_t texts = 512;
};

}  // namespace moecollab::engine
