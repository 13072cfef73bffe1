// How far an expert came on its way from a folder to a routed expert, and why not farther.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace moecollab::registry {

// In the order in which they are reached; the last six are ends of their own.
enum class State {
  kFound,
  kManifestOk,
  kTrusted,
  kScanned,
  kCompatible,
  kAdmitted,
  kReady,
  kUnrouted,     // no gate row: listed, takes no part
  kOnProbation,  // has the gate row of the version before
  kMismatched,   // has a gate row that was fitted for another package, or was edited: takes no part
  kDisabled,     // by the operator
  kRefused,      // with a code
  kQuarantined,  // with a code and evidence
};

// Refused or quarantined: the policy says what becomes of the others.
inline bool is_refused(State state) {
  return state == State::kRefused || state == State::kQuarantined;
}

// "manifest ok", …; the words of `experts list` and of the lock.
std::string_view state_name(State state);
std::optional<State> parse_state(std::string_view text);

// Why an expert takes no part.
struct Refusal {
  std::string code;            // stable: E_ABI, E_PLUG_DIGEST, …
  std::string rule;            // a sentence with the two values that disagree, safe to print
  std::string expected, seen;  // those values by themselves, the host's first; may be empty
  std::string hint;            // the way on; may be empty

  bool operator==(const Refusal&) const = default;
};

Refusal refusal_of(const Error& error);

}  // namespace moecollab::registry
