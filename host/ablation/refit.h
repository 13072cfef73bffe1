// Gates fitted again, each with one thing changed.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "ablation/judge.h"
#include "base/run_context.h"
#include "training/gate_inputs.h"

namespace moecollab::ablation {

using GateFeatures = std::optional<std::vector<encoder::PooledKey>>;

// Fits on the held-out part of training files, as `train-gate` does, and writes nothing. Borrows
// all that it is given.
class Refit {
 public:
  Refit(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
        training::GateTrainingOptions settings, Judge& judge)
      : pool_(pool), training_(training), settings_(std::move(settings)), judge_(judge) {}

  // Those that the installed gate was fitted with, or, under another fusion than these, the linear
  // gate's: a gate in two factors is for `mixture` alone.
  training::GateTrainingOptions settings(fusion::Mode fusion) const;

  // The judged texts' way by a gate fitted with these settings; `features`: instead of those of the
  // settings, `without`: an expert of the pool that is not the only one of its label space. Throws
  // as collect_gate_inputs() and fit_gate().
  Way fit(const training::GateTrainingOptions& settings, const RunContext& context,
          const GateFeatures& features = {}, std::optional<size_t> without = std::nullopt);

 private:
  const training::GateInputs& inputs(const GateFeatures& features);

  pipeline::Pool& pool_;
  const std::vector<data::Dataset>& training_;
  training::GateTrainingOptions settings_;
  Judge& judge_;
  std::map<GateFeatures, training::GateInputs> collected_;
};

}  // namespace moecollab::ablation
