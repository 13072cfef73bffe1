// What train-gate and sweep prepare in the same way: the pool, the data, and the fit's options.
#pragma once

#include <functional>
#include <memory>

#include "data/dataset.h"
#include "engine/options.h"
#include "pipeline/gate_file.h"
#include "pipeline/pool.h"
#include "training/calibration.h"
#include "training/gate_trainer.h"

namespace moecollab::engine {

struct GateInputs {
  std::vector<data::Dataset> datasets;
  std::unique_ptr<pipeline::Pool> pool;
  std::vector<encoder::PooledKey> features;  // what the gate reads
  training::GateData data;
  std::vector<fusion::ExpertLabels> labels;  // with the temperatures that the gate is fitted for
  std::vector<training::Calibration> calibration;  // empty without --calibrate
  training::GateTrainingOptions training;

  std::vector<std::string> expert_names() const;
  training::GateProblem problem() const;
};

// Refuses bad options before anything is read (E_CONFIG), calls `check_outputs` (which throws
// E_WRITE where the result could not be written), opens the pool, collects features and expert
// outputs, calibrates if asked to.
GateInputs prepare_gate(const TrainGateOptions& options, const RunContext& context,
                        const std::function<void()>& check_outputs);

// [fit] of gate.toml: the settings that do not follow from the gate itself.
Json fit_json(const TrainGateOptions& options);
// Options that fit such a gate again; those that gate.toml does not state stay as they are.
void restore_gate_options(const pipeline::GateFile& file, Log log, TrainGateOptions& options);

}  // namespace moecollab::engine
