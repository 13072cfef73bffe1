// The part of the program that computes, behind an interface that needs no LibTorch to call.
//
// The executable is thin and opens the engine library only for verbs that compute, so that --help
// and a mistyped flag answer at once.
#pragma once

#include <functional>

#include "base/run_context.h"
#include "engine/options.h"

namespace moecollab::engine {

// Each verb returns what `--json` prints; all throw moecollab::Error, E_INTERRUPTED if the context
// asks for a stop. One verb at a time.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual Json train_expert(const TrainExpertOptions& options, const RunContext& context) = 0;
  virtual Json train_rounds(const TrainRoundsOptions& options, const RunContext& context) = 0;
  virtual Json train_gate(const TrainGateOptions& options, const RunContext& context) = 0;
  virtual Json train_baseline(const TrainBaselineOptions& options, const RunContext& context) = 0;
  virtual Json grow(const GrowOptions& options, const RunContext& context) = 0;
  // The verdict, which also lies in registry/admission/; a refusal does not throw.
  virtual Json admit(const AdmitOptions& options, const RunContext& context) = 0;
  virtual Json sweep(const SweepOptions& options, const RunContext& context) = 0;
  // The report of design page 6.
  virtual Json eval(const EvalOptions& options, const RunContext& context) = 0;
  // Calls `emit` with one JSON line per text, in order, and with an empty one after each batch
  // (a good time to flush). Returns {"texts", "errors"}.
  virtual Json predict(const PredictOptions& options, const RunContext& context,
                       const std::function<void(const std::string&)>& emit) = 0;
  virtual Json encode(const EncodeOptions& options, const RunContext& context) = 0;
  virtual Json bench(const BenchOptions& options, const RunContext& context) = 0;

  // Every candidate with its state; the lock is not written.
  virtual Json experts_list(const CommonOptions& options, const RunContext& context) = 0;
  virtual Json experts_add(const CommonOptions& options, const RunContext& context,
                           const fs::path& package, const std::string& name) = 0;
  // Runs every check and all probe vectors (of one expert, or of all if `name` is empty), writes
  // the lock.
  virtual Json experts_verify(const CommonOptions& options, const RunContext& context,
                              const std::string& name) = 0;

  // Versions and devices, for doctor.
  virtual Json facts(const RunOptions& options) = 0;
  // Fingerprint and sizes of an encoder folder, for doctor.
  virtual Json encoder_facts(const WhereOptions& options) = 0;
};

}  // namespace moecollab::engine

// The engine library's one entry. The object lives as long as the process.
extern "C" moecollab::engine::Engine* moecollab_engine();
