#include "base/shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/digest.h"
#include "base/error.h"

namespace moecollab {

Shards deal(std::span<const int32_t> lengths) {
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(),
                           [&](int64_t row) { return lengths[static_cast<size_t>(row)]; });
  Shards shards;
  for (size_t i = 0; i < order.size(); ++i) {
    // There and back, or the first shard would have the longest of each round.
    const size_t at = i % kShards;
    shards[i / kShards % 2 == 0 ? at : kShards - 1 - at].push_back(order[i]);
  }
  for (std::vector<int64_t>& rows : shards) std::ranges::sort(rows);
  return shards;
}

Shards deal(int64_t rows) { return deal(std::vector<int32_t>(static_cast<size_t>(rows), 1)); }

std::string digest_of(std::span<const int64_t> rows) {
  const auto bytes = std::as_bytes(rows);
  return sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).substr(0, 16);
}

std::vector<int> shards_of(int rank, const Ranks& ranks) {
  std::vector<int> shards;
  for (int shard = rank; shard < kShards; shard += ranks.size()) shards.push_back(shard);
  return shards;
}

void require_bytes(int rank, size_t given, size_t expected, std::string_view what) {
  if (given == expected) return;
  throw Error("E_DIST",
              fmt::format("rank {} gave {} bytes of {}, expected {}", rank, given, what, expected),
              "all ranks must run the same build on the same data");
}

}  // namespace moecollab
