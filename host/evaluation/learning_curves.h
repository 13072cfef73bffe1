// How gate and experts learnt, from the histories that training leaves: the paper's figure 2 (use
// of the experts and accuracy of the domains over the epochs), and each expert's own curve.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "evaluation/chart.h"

namespace moecollab::evaluation {

// `training` of a report from the lines of gate/history.jsonl and of history/<expert>.jsonl: per
// epoch of the phase that chose them, what the charts show, and each expert's cost.
//   {"gate": [{epoch, total, held_out_total, accuracy{domain}, load{expert}, entropy}] | null,
//    "experts": {name: {"epochs": [{epoch, train_loss, held_out_loss, held_out_accuracy}],
//                       "seconds", "tokens", "peak_rss_bytes"}}}
Json training_json(const std::vector<Json>& gate_history,
                   const std::vector<std::pair<std::string, std::vector<Json>>>& expert_histories);

// Charts of report["training"]; charts without a value are left out.
std::vector<Chart> learning_charts(const Json& report);

}  // namespace moecollab::evaluation
