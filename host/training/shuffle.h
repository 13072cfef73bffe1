// Orders of rows that depend on a seed and an epoch only.
#pragma once

#include <cstdint>
#include <vector>

namespace moecollab::training {

// A permutation of 0 … n − 1 (Fisher–Yates over SplitMix64 of seed and epoch); the same on every
// platform.
std::vector<int64_t> shuffled(int64_t n, uint64_t seed, int64_t epoch);

// One number of the stream that `seed` names, from SplitMix64.
uint64_t mixed(uint64_t seed, uint64_t counter);

}  // namespace moecollab::training
