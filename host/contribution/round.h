// What the rounds of `train` came to, and its JSON.
#pragma once

#include <optional>
#include <vector>

#include "base/json.h"
#include "contribution/joint_round.h"

namespace moecollab::contribution {

struct Round {
  int number = 0;  // 0: the gate is fitted once more for the experts that are there
  double held_out_loss = 0;
  bool kept = true;                   // else undone
  std::vector<ExpertLearnt> experts;  // in the order of the gate's rows
  std::optional<JointFigures> joint;  // of a joint round
};

// A number that is not finite is null, which is read back as NaN.
Json to_json(const Round& round);
Json to_json(const std::vector<Round>& rounds);
std::vector<Round> rounds_from_json(const Json& list);

}  // namespace moecollab::contribution
