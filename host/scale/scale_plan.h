// Which pools a scale run makes; torch-free.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace moecollab::scale {

inline constexpr int kMostExperts = 512, kMostUseless = 75;  // per cent
inline constexpr int kMostRounds = 1000;

struct ScalePlan {
  std::vector<int> experts = {4, 8, 16, 32, 64, 128};
  std::vector<int> useless = {0, 25, 50, 75};  // per cent of the experts
  int domains = 32;                            // pseudo-domains at most
  int rounds = 8;                              // in which the pools are timed
};

// A pool by what is in it.
struct PoolSize {
  int honest = 0, useless = 0;
  int experts() const { return honest + useless; }
  std::string name() const;  // "96+32"
  auto operator<=>(const PoolSize&) const = default;
};

// Throws E_CONFIG naming the number that is out of range: experts in 1 to 512, useless in 0 to 75,
// domains in 2 to 512, rounds in 1 to 1,000; or a list that is empty.
void validate(const ScalePlan& plan);

// A pool of that many experts, of which this share is useless; one is honest at least.
PoolSize pool_size(int experts, int useless_percent);

// Those of the plan, all of its experts honest, too, and each pool without its useless experts;
// ascending, each once.
std::vector<PoolSize> pool_sizes(const ScalePlan& plan);

// An expert of a pool.
struct Member {
  int domain = 0;        // of the pseudo-domains
  bool useless = false;  // learns from shuffled labels
  int number = 1;        // among its likes of the same domain; also what its seed differs by
};

// Honest experts take the domains in turn and then begin again with another seed; useless ones do
// the same over the domains that the honest ones cover. A smaller pool's honest experts are the
// first of a larger one's.
std::vector<Member> members(const PoolSize& size, int domains);

}  // namespace moecollab::scale
