// What each expert adds, read off the finished steps.
#pragma once

#include "base/json.h"

namespace moecollab::ablation {

// A way to answer that a step is about: whose gate.
inline constexpr char kSame[] = "same", kRefitted[] = "refitted";

// For each step of `experts` and `upgrades` under the same gate: expert, upgrade (its new version;
// null: it was left out), by, change, change_refitted and through_gate (their difference); the last
// two are null without a step that fitted the gate again.
Json impact_of(const Json& steps);

}  // namespace moecollab::ablation
