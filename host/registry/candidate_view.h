// A candidate as `experts list` and `experts verify` show it.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "registry/resolution.h"

namespace moecollab::registry {

struct CandidateView {
  std::string name;
  State state = State::kFound;
  std::optional<Refusal> refusal;  // why it takes no part; no code: it breaks no rule
  std::optional<Package> package;  // none if it could not be read
  bool entry = false;              // whether registry.toml has it
  bool pinned = false;
  std::optional<Version> newer;  // installed and in its range; the pin or the lock holds it back
  std::optional<Refusal> edit;   // set if its expert.toml was edited after it was installed
  std::optional<bool> probed;    // if asked for: whether its probe vectors passed, or it has none

  Json to_json() const;
};

// A refusal without a way on gets one.
CandidateView view_of(const Candidate& candidate);

}  // namespace moecollab::registry
