#include "evaluation/best_expert.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "training/gate_fit_record.h"

namespace moecollab::evaluation {

size_t best_expert(const std::vector<pipeline::InstalledExpert*>& experts,
                   const pipeline::GateFile& gate, const fusion::LabelUnion& labels, int space) {
  const auto accuracies = training::read_record(gate).expert_accuracy;
  const auto accuracy_of = [&](const std::string& name) {
    const auto found = std::find_if(accuracies.begin(), accuracies.end(),
                                    [&](const auto& known) { return known.first == name; });
    return found == accuracies.end() ? 0.0 : found->second;
  };
  // An expert that may have trained on the held-out texts shows nothing by being right on them.
  const auto is_known = [&](const std::string& name) {
    const auto row = std::ranges::find(gate.rows, name, &pipeline::GateRow::name);
    return row != gate.rows.end() && row->heldout_known;
  };
  std::optional<size_t> best;
  std::pair<bool, double> best_score = {false, -1};
  for (size_t e = 0; e < experts.size(); ++e) {
    const pipeline::InstalledExpert& expert = *experts[e];
    if (expert.labels.space != space) continue;
    const std::pair<bool, double> score = {is_known(expert.name), accuracy_of(expert.name)};
    if (score > best_score) {
      best_score = score;
      best = e;
    }
  }
  if (!best) {
    throw Error("E_GATE",
                fmt::format("no expert of the gate answers in label space {}",
                            labels.spaces()[static_cast<size_t>(space)].name),
                "if one is installed, `moecollab grow EXPERT` takes it into the gate; else add "
                "one, or leave the domain out");
  }
  return *best;
}

}  // namespace moecollab::evaluation
