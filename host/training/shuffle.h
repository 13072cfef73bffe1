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

// A fifth of some texts, and the others.
struct Fold {
  std::vector<int64_t> inside, outside;
};
// Five folds of n texts in the order of that shuffle.
std::vector<Fold> five_folds(int64_t n, uint64_t seed, int64_t epoch);
// Fewer are not folded: an expert's or a space's worth would rest on a single text.
inline constexpr int64_t kFewestToFold = 10;

}  // namespace moecollab::training
