#include "text/batching.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace moecollab::text {

std::vector<std::vector<int64_t>> plan_batches(std::span<const int32_t> lengths,
                                               int64_t token_budget) {
  if (token_budget < 1) {
    throw Error("E_CONFIG",
                fmt::format("the token budget of a batch is {}, not 1 or more", token_budget),
                "leave the option out for its default");
  }
  const auto length_of = [&](int64_t row) { return lengths[static_cast<size_t>(row)]; };
  std::vector<int64_t> rows(lengths.size());
  std::iota(rows.begin(), rows.end(), int64_t{0});
  std::stable_sort(rows.begin(), rows.end(),
                   [&](int64_t a, int64_t b) { return length_of(a) > length_of(b); });

  std::vector<std::vector<int64_t>> batches;
  int64_t left = 0;
  for (const int64_t row : rows) {
    if (batches.empty() || length_of(row) > left) {
      batches.emplace_back();
      left = token_budget;
    }
    batches.back().push_back(row);
    left -= length_of(row);
  }
  return batches;
}

}  // namespace moecollab::text
