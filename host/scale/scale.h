// Pools of 4 to 128 experts: what more experts, and useless ones among them, do to answers and
// cost.
#pragma once

#include <string>
#include <vector>

#include "base/finished_lines.h"
#include "base/json.h"
#include "base/run_context.h"
#include "pipeline/pool.h"
#include "scale/pseudo_domains.h"
#include "scale/scale_plan.h"
#include "training/gate_training_options.h"

namespace moecollab::scale {

// What a run is made from. Borrowed.
struct ScaleRun {
  const ScalePlan& plan;
  const std::vector<PseudoDomain>& domains;
  std::string kind;  // of the experts, as --kind takes it
  encoder::EncoderSettings encoder;
  training::GateTrainingOptions gate = {};  // its seed is the run's
  fs::path folder = {};                     // for the experts and pools, this run's alone
  pipeline::PoolOptions open = {};          // how pools are opened, whatever their registry is
};

// SHA-256 of all that the figures of the answers depend on.
std::string digest_of(const ScaleRun& run);

// The key of FinishedLines.
std::string pool_key(const Json& line);

// Trains the experts that are missing, and fits and judges a gate for each pool; pools that the
// file holds are taken over, each of the others is added to it as it ends. Returns
//   domains: name, source, labels, training and judged (texts) of each pseudo-domain;
//   pools, of pool_sizes(): name, experts, honest, useless, spaces, texts; accuracy,
//     accuracy_task_aware; recall_1 and recall_3: whether the text's label space is among the one
//     or three that the gate gives most; n_eff and n_eff_target over label spaces; fit_seconds; of
//     one with useless experts, change: the paired change from the pool without them, else null;
//   costs: costs() of the pools without useless experts whose sizes the plan names.
// Throws as training, fits and experts do, E_INTERRUPTED.
Json scale(const ScaleRun& run, FinishedLines& finished);

}  // namespace moecollab::scale
