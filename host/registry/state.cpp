#include "registry/state.h"

#include <array>

namespace moecollab::registry {
namespace {

constexpr std::array<std::string_view, 13> kNames = {
    "found",    "manifest ok",  "trusted",       "scanned",  "compatible", "admitted",   "ready",
    "unrouted", "on probation", "gate mismatch", "disabled", "refused",    "quarantined"};
static_assert(kNames.size() == static_cast<size_t>(State::kQuarantined) + 1);

}  // namespace

std::string_view state_name(State state) { return kNames[static_cast<size_t>(state)]; }

std::optional<State> parse_state(std::string_view text) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<State>(i);
  }
  return std::nullopt;
}

Refusal refusal_of(const Error& error) {
  return {error.code(), error.what(), {}, {}, error.hint()};
}

}  // namespace moecollab::registry
