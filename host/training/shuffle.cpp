#include "training/shuffle.h"

#include <numeric>
#include <utility>

namespace moecollab::training {
namespace {

// SplitMix64 (Steele, Lea and Flood 2014): a counter-based generator.
uint64_t splitmix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

uint64_t mixed(uint64_t seed, uint64_t counter) { return splitmix64(seed ^ splitmix64(counter)); }

std::vector<int64_t> shuffled(int64_t n, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  const uint64_t stream = mixed(seed, static_cast<uint64_t>(epoch));
  for (uint64_t i = static_cast<uint64_t>(n); i > 1; --i) {
    std::swap(order[i - 1], order[splitmix64(stream + i) % i]);
  }
  return order;
}

std::vector<Fold> five_folds(int64_t n, uint64_t seed, int64_t epoch) {
  const std::vector<int64_t> order = shuffled(n, seed, epoch);
  std::vector<Fold> folds(5);
  for (int64_t i = 0; i < n; ++i) {
    for (size_t f = 0; f < folds.size(); ++f) {
      const bool own = static_cast<size_t>(i) % folds.size() == f;
      (own ? folds[f].inside : folds[f].outside).push_back(order[static_cast<size_t>(i)]);
    }
  }
  return folds;
}

}  // namespace moecollab::training
