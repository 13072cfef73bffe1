#include "scale/scale_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace moecollab::scale {
namespace {

void require_in(const char* flag, const std::vector<int>& values, int least, int most) {
  if (values.empty()) {
    throw Error("E_CONFIG", fmt::format("{} names no number", flag),
                "give some, with commas between them");
  }
  for (const int value : values) {
    if (value >= least && value <= most) continue;
    throw Error("E_CONFIG", fmt::format("{} is {}, expected {} to {}", flag, value, least, most));
  }
}

}  // namespace

std::string PoolSize::name() const { return fmt::format("{}+{}", honest, useless); }

void validate(const ScalePlan& plan) {
  require_in("--experts", plan.experts, 1, kMostExperts);
  require_in("--useless", plan.useless, 0, kMostUseless);
  require_in("--domains", {plan.domains}, 2, kMostExperts);
  require_in("--rounds", {plan.rounds}, 1, kMostRounds);
}

PoolSize pool_size(int experts, int useless_percent) {
  const int useless = std::min(experts - 1, (experts * useless_percent + 50) / 100);
  return {experts - useless, useless};
}

std::vector<PoolSize> pool_sizes(const ScalePlan& plan) {
  std::set<PoolSize> sizes;
  for (const int experts : plan.experts) {
    sizes.insert({experts, 0});
    for (const int percent : plan.useless) {
      const PoolSize size = pool_size(experts, percent);
      sizes.insert(size);
      sizes.insert({size.honest, 0});
    }
  }
  return {sizes.begin(), sizes.end()};
}

std::vector<Member> members(const PoolSize& size, int domains) {
  std::vector<Member> all;
  const auto add = [&](int count, int over, bool useless) {
    for (int i = 0; i < count; ++i) all.push_back({i % over, useless, i / over + 1});
  };
  add(size.honest, domains, false);
  add(size.useless, std::min(size.honest, domains), true);
  return all;
}

}  // namespace moecollab::scale
