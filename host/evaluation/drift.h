// Whether texts are other ones than those that the gate was fitted on, by its profile of both.
//
// The population stability index of two distributions p and q over the same cells is
// Σ (q − p)·ln(q / p), half a text added to each cell: docs/mathematics.md, "Drift".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evaluation/metrics.h"
#include "evaluation/profile.h"

namespace moecollab::evaluation {

// A shift counts from here on: the usual bound of a major one.
inline constexpr double kDriftPsi = 0.25;

struct Shift {
  double psi = 0;
  Interval band{};  // of psi for texts of one kind, as many as there are: 99 % of such pairs
  // The cells that psi mostly comes from, at most three, the greatest first: shares of the texts.
  struct Cell {
    std::string name;
    double before = 0, now = 0;
  };
  std::vector<Cell> cells;

  bool is_drift() const { return psi > kDriftPsi && psi > band.high; }
};

struct Drift {
  double texts = 0, reference = 0;  // how many there are now, and were
  Shift load, entropy;              // of the gate's weight by expert, of its entropy
  std::optional<Shift> answers;     // of the labels; none if either has none
};

// Both have texts. The band is drawn from both together, always by the same seed.
Drift find_drift(const Profile& reference, const Profile& now);

// "news 45.0 % (15.0 %), law …": the cells now, and before.
std::string describe(const Shift& shift);

// {texts, reference, load{psi, band[2], cells[{name, before, now}]}, entropy{…}, answers{…} | null}
Json to_json(const Drift& drift);

}  // namespace moecollab::evaluation
