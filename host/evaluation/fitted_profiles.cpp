#include "evaluation/fitted_profiles.h"

#include <fmt/format.h>

#include <algorithm>

#include "training/gate_fit_record.h"

namespace moecollab::evaluation {

FittedProfiles fitted_profiles(const pipeline::Collaboration& collaboration,
                               const pipeline::GateFile& file) {
  FittedProfiles fitted{training::read_record(file).profiles, ""};
  const auto takes_part = [&](const pipeline::GateRow& row) {
    return std::ranges::any_of(collaboration.experts(),
                               [&](const auto* expert) { return expert->name == row.name; });
  };
  const auto absent = std::ranges::find_if_not(file.rows, takes_part);
  if (fitted.profiles.empty()) {
    fitted.missing =
        "gate.toml has no profile of the texts that the gate was fitted on; "
        "`moecollab train-gate` writes one";
  } else if (absent != file.rows.end()) {
    fitted.missing =
        fmt::format("the gate was fitted with {}, which takes no part now", absent->name);
    fitted.profiles.clear();
  }
  return fitted;
}

}  // namespace moecollab::evaluation
