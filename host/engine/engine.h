// The part of the program that computes, behind an interface that needs no LibTorch to call.
//
// The executable is thin and opens the engine library only for verbs that compute, so that --help
// and a mistyped flag answer at once.
#pragma once

#include <functional>

#include "base/run_context.h"
#include "contribution/install_options.h"
#include "engine/answering_options.h"
#include "engine/options.h"
#include "worker/engine_side.h"

namespace moecollab::engine {

// The verbs, as docs/README.md's pages describe them. Each returns what `--json` prints and keeps
// nothing of it. One verb at a time: a verb sets the thread count of the process. All throw
// moecollab::Error, whose codes and families docs/operating.md lists: among them E_CONFIG for
// options out of range, E_REG_* for a registry, E_GATE for a gate, E_ENCODER* for an encoder,
// E_DATA for a file that cannot be used, an expert's own code if one that is needed is refused,
// E_WRITE for a result that cannot be written, and E_INTERRUPTED if the context asks for a stop.
// Verbs that train, judge or evaluate also write the feature cache, unless no_cache is set.
class Engine {
 public:
  virtual ~Engine() = default;

  // The first GPU if one can be used, else the CPU; and the reason, for a person. Never throws.
  struct BestDevice {
    Device device;
    std::string why;
  };
  virtual BestDevice best_device() = 0;

  // Trains a kind on one domain's training file and installs the expert; makes the registry if
  // there is none. Throws E_REG_EXISTS if it is installed and `force` is not set, E_TRAIN_* if the
  // kind cannot learn or diverges, E_CKPT for a checkpoint that --resume cannot use.
  virtual Json train_expert(const TrainExpertOptions& options, const RunContext& context) = 0;
  // Trains experts and gate in turn while the held-out loss falls. A round that does not lower it,
  // or throws, is undone. Throws E_TRAIN_UNSUPPORTED if no expert was trained in this registry.
  virtual Json train_rounds(const TrainRoundsOptions& options, const RunContext& context) = 0;
  // Fits a gate over all experts that are ready and writes gate/; the old gate stays until the new
  // one is whole. Throws E_DATA_CHANGED if a training file changes meanwhile.
  virtual Json train_gate(const TrainGateOptions& options, const RunContext& context) = 0;
  // Trains a model to compare with on all domains and writes baselines/. Throws E_REG_EMPTY without
  // an expert, E_ENCODER without an encoder.
  virtual Json train_baseline(const TrainBaselineOptions& options, const RunContext& context) = 0;
  // Adds rows for new experts to the gate; all other rows keep their bits. Throws E_REQUIRE_GUARD
  // if an old domain would lose too much; the gate is then as it was, as after every error.
  virtual Json grow(const GrowOptions& options, const RunContext& context) = 0;
  // Judges a package against the pool without installing it, or ends the probation of an installed
  // expert that it admits. Returns the verdict and writes it into registry/admission/; a refusal
  // does not throw. Throws E_REG_EMPTY if no expert is ready.
  virtual Json admit(const AdmitOptions& options, const RunContext& context) = 0;
  // Fits a gate for each pair of λ1 and λ2, and writes the results into `out`; the registry's
  // gate stays. Takes over points of an earlier run with equal data and options. Throws E_LOCK.
  virtual Json sweep(const SweepOptions& options, const RunContext& context) = 0;
  // docs/ablate.md, docs/scale.md. Both write into `out`, and continue, as sweep.
  virtual Json ablate(const AblateOptions& options, const RunContext& context) = 0;
  virtual Json scale(const ScaleOptions& options, const RunContext& context) = 0;
  // Evaluates the collaboration on labelled texts. Returns the report (docs/report.md) and writes
  // no file but the cache and, if asked for another precision than the gate's, the registry's
  // record of it: then the report has it as "precision". Throws E_DATA_CHANGED if a data file
  // changes meanwhile.
  virtual Json eval(const EvalOptions& options, const RunContext& context) = 0;
  // Answers texts as they come. Calls `emit` on this thread with one JSON line per text or bad
  // line, in order, and with an empty one after each batch (a good time to flush). Returns
  // {"texts", "errors"}. Throws what `emit` throws, and with `strict` the code of the first bad
  // line. Uses no cache.
  virtual Json predict(const PredictOptions& options, const RunContext& context,
                       const std::function<void(const std::string&)>& emit) = 0;
  // Writes `pooled` [n, H] float32, the last layer's mean per text, to a safetensors file, and with
  // `hidden` the T tokens' states [T, H] and `row_offsets` [n + 1] int32. Uses no cache.
  virtual Json encode(const EncodeOptions& options, const RunContext& context) = 0;
  // Measures the encoder on synthetic texts, and ready experts at batches of 1 and 32.
  virtual Json bench(const BenchOptions& options, const RunContext& context) = 0;

  // Returns every candidate with its state and refusal; writes nothing, the lock included.
  virtual Json experts_list(const CommonOptions& options, const RunContext& context) = 0;
  // Checks the package (signature, manifest, library, probe vectors, and if it is new here
  // conformance and, with data, admission, as the registry's policy says) and installs it: as a new
  // expert, as a further version, or as the next one of an expert that is there; with data the gate
  // is grown or fitted in the same change. Keeps what each step came to. Makes the registry if
  // there is none. A refused package throws its code and is not installed, E_POLICY_ADMISSION if
  // it would do harm and E_REQUIRE_ADMISSION if that is undecided; an upgrade throws E_CONFIG if
  // the expert is not there, is pinned, its range does not hold the version, or there is no higher
  // one.
  virtual Json experts_add(const CommonOptions& options,
                           const contribution::InstallOptions& install,
                           const contribution::ConformanceCheck& conformance,
                           const RunContext& context) = 0;
  // Runs every check and all probe vectors of all experts, writes the lock, and returns those of
  // one expert, or of all if `name` is empty. A refused expert does not throw; an unknown name is
  // E_CONFIG.
  virtual Json experts_verify(const CommonOptions& options, const RunContext& context,
                              const std::string& name) = 0;
  // Takes the figures that the manifests of one expert, or of all, claim, on those of the files
  // that have the claimed digests. Writes nothing but the cache. An unknown name is E_CONFIG.
  virtual Json experts_claims(const EvalOptions& options, const RunContext& context,
                              const std::string& name) = 0;

  // Returns everything that `eval` would refuse of the registry, at once, and the exit status that
  // stands for it: 0, 4 (registry or gate) or 5 (an expert). Runs all probe vectors; writes
  // nothing.
  virtual Json registry_check(const CommonOptions& options, const RunContext& context) = 0;

  // Returns versions, CPU capability, its precisions, threads and device, for doctor.
  virtual Json facts(const RunOptions& options) = 0;
  // Returns driver and GPUs, how many can be used, and else what is missing and how to get it.
  virtual Json cuda_facts() = 0;
  // Returns folder, fingerprint and sizes of an encoder; the model is not loaded.
  virtual Json encoder_facts(const WhereOptions& options) = 0;
};

}  // namespace moecollab::engine

// The engine library's entries: for the program, and for the processes of experts. The object lives
// as long as the process.
extern "C" moecollab::engine::Engine* moecollab_engine();
extern "C" moecollab::worker::EngineSide* moecollab_engine_side();
