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

// Fits on the held-out part of training files, as `train-gate` does (gates of one softmax without
// their guard), and writes nothing. Borrows all that it is given.
class Refit {
 public:
  Refit(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
        const training::GateTrainingOptions& settings, int64_t top_k, Judge& judge)
      : pool_(pool), training_(training), settings_(settings), top_k_(top_k), judge_(judge) {}

  // Those that the installed gate was fitted with.
  const training::GateTrainingOptions& settings() const { return settings_; }

  // Collects what fit() reads of the texts for a gate with these features, which is else collected
  // when it is first needed. All ranks that share the pool's work must do so together.
  void collect(const GateFeatures& features);

  // The judged texts' way by a gate fitted with these settings, top_k experts a text; `features`:
  // instead of those of the settings, `without`: an expert of the pool that is not the only one of
  // its label space. Throws as collect_gate_inputs() and fit_gate().
  Way fit(const training::GateTrainingOptions& settings, const RunContext& context,
          const GateFeatures& features = {}, std::optional<size_t> without = std::nullopt);

 private:
  const training::GateInputs& inputs(const GateFeatures& features);

  pipeline::Pool& pool_;
  const std::vector<data::Dataset>& training_;
  training::GateTrainingOptions settings_;
  int64_t top_k_;
  Judge& judge_;
  std::map<GateFeatures, training::GateInputs> collected_;
};

}  // namespace moecollab::ablation
