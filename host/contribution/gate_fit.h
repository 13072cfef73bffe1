// From experts and training files to the registry's gate.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "pipeline/gate_file.h"
#include "pipeline/pool.h"
#include "registry/change.h"
#include "training/calibration.h"
#include "training/gate_fit_record.h"
#include "training/gate_inputs.h"
#include "training/gate_trainer.h"

namespace moecollab::contribution {

struct FittedGate {
  pipeline::GateFile file;         // as it was written
  training::GateFitRecord record;  // its settings and figures
  std::vector<training::GateEpoch> history;
  std::vector<training::Calibration> calibration;  // of each row; empty without
  double seconds = 0;  // of the fit itself, the guard and the choice of top-k included
};

// Fits a gate over all experts of the pool and writes it into the pool's registry, with its history
// and the rows kept for `grow`: as a part of the change `within`, or, if that is null, as one of
// its own under the registry's lock, which it takes when the fit is done. Nothing is written
// before. Throws as collect_gate_inputs(), fit_gate() and, for a guard after the fit
// or to choose top-k, cross_fitted_router_logits(), E_CONFIG if top-k is to be chosen and an expert
// lacks held-out logits, E_DATA if a training file has changed meanwhile, and E_WRITE.
FittedGate fit_and_write_gate(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                              const training::GateTrainingOptions& settings,
                              registry::Change* within = nullptr);
// The same from what collect_gate_inputs() gave.
FittedGate fit_and_write_gate(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                              const training::GateInputs& inputs,
                              registry::Change* within = nullptr);

}  // namespace moecollab::contribution
