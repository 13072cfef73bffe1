// How a candidate is to be judged; torch-free.
#pragma once

#include <cstdint>

namespace moecollab::contribution {

struct AdmissionOptions {
  int64_t texts = 64;     // texts of its domain to fit its row of the gate on; at least 1
  int permutations = 32;  // orders of the Shapley sampling, each with its reverse; at least 1
};

}  // namespace moecollab::contribution
