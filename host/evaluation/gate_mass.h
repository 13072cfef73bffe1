// What a gate gives to experts and label spaces over all texts of a run, and what would be ideal.
#pragma once

#include <vector>

#include "evaluation/figures.h"

namespace moecollab::evaluation {

struct GateMass {
  std::vector<double> gate;            // [n, E]
  std::vector<double> mean, ideal;     // [E]
  std::vector<double> spaces;          // [S] the mean
  std::vector<double> texts_of_space;  // [S]
};
GateMass gate_mass(const Figures& figures);

}  // namespace moecollab::evaluation
