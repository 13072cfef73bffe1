// The history of a fit as JSON, with the names of domains and experts.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "training/gate_trainer.h"

namespace moecollab::training {

// {"accuracy", "accuracy_task_aware", "domains": {domain: {…}}, "task", …, "load": {expert: …},
// "n_eff", "n_eff_target", "n_eff_ratio", "n_eff_experts", "utilisation": {"soft", "hard"}}; a
// figure that is not defined is null.
Json to_json(const GateJudgement& judged, const std::vector<std::string>& domains,
             const std::vector<std::string>& experts);

// An epoch's line of history.jsonl. `held_out` is null in the refit, whose texts are all fitted;
// there `usage` alone speaks of the same texts.
Json to_json(const GateEpoch& epoch, const std::vector<std::string>& domains,
             const std::vector<std::string>& experts);

// gate/history.jsonl of a folder that is laid out as a registry: a line per epoch.
void write_history(const fs::path& folder, const std::vector<GateEpoch>& history,
                   const std::vector<std::string>& domains,
                   const std::vector<std::string>& experts);

}  // namespace moecollab::training
