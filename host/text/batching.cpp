#include "text/batching.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace moecollab::text {
namespace {

using Batches = std::vector<std::vector<int64_t>>;

int64_t divided_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

// Longest first, equal ones in their order.
std::vector<int64_t> by_length(std::span<const int32_t> lengths) {
  std::vector<int64_t> rows(lengths.size());
  std::iota(rows.begin(), rows.end(), int64_t{0});
  std::ranges::stable_sort(rows, std::greater<>(),
                           [&](int64_t row) { return lengths[static_cast<size_t>(row)]; });
  return rows;
}

Batches cut(const std::vector<int64_t>& rows, std::span<const int32_t> lengths,
            int64_t token_budget) {
  Batches batches;
  int64_t left = 0;
  for (const int64_t row : rows) {
    const int64_t length = lengths[static_cast<size_t>(row)];
    if (batches.empty() || length > left) {
      batches.emplace_back();
      left = token_budget;
    }
    batches.back().push_back(row);
    left -= length;
  }
  return batches;
}

int64_t tokens_of(const std::vector<int64_t>& batch, std::span<const int32_t> lengths) {
  return std::accumulate(batch.begin(), batch.end(), int64_t{0}, [&](int64_t tokens, int64_t row) {
    return tokens + lengths[static_cast<size_t>(row)];
  });
}

// Each row to the batch that its middle token falls into if `count` batches divide the tokens.
Batches cut_evenly(const std::vector<int64_t>& rows, std::span<const int32_t> lengths,
                   int64_t total, int64_t count) {
  Batches batches;
  int64_t before = 0, last = -1;
  for (const int64_t row : rows) {
    const int64_t length = lengths[static_cast<size_t>(row)];
    const int64_t batch = (2 * before + length) * count / (2 * total);
    if (batch != std::exchange(last, batch)) batches.emplace_back();
    batches.back().push_back(row);
    before += length;
  }
  return batches;
}

void require_budget(int64_t tokens) {
  if (tokens >= 1) return;
  throw Error("E_CONFIG", fmt::format("the token budget of a batch is {}, not 1 or more", tokens),
              "leave the option out for its default");
}

}  // namespace

Batches plan_batches(std::span<const int32_t> lengths, int64_t token_budget) {
  require_budget(token_budget);
  return cut(by_length(lengths), lengths, token_budget);
}

Batches plan_even_batches(std::span<const int32_t> lengths, const EvenBatches& wanted) {
  require_budget(wanted.most);
  const int64_t total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  if (total < wanted.shares * wanted.least) return plan_batches(lengths, wanted.most);
  const std::vector<int64_t> rows = by_length(lengths);
  for (int64_t rounds = divided_up(total, wanted.shares * wanted.most);;
       rounds += divided_up(rounds, 32)) {
    Batches batches = cut_evenly(rows, lengths, total, wanted.shares * rounds);
    const bool fit = std::ranges::all_of(batches, [&](const std::vector<int64_t>& batch) {
      return batch.size() == 1 || tokens_of(batch, lengths) <= wanted.most;
    });
    if (fit) return batches;
  }
}

}  // namespace moecollab::text
