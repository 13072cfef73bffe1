#include "training/shared_gradients.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace moecollab::training {
namespace {

void add_to(at::Tensor& sum, const at::Tensor& more) {
  if (!more.defined()) return;
  if (sum.defined()) {
    sum.add_(more);
  } else {
    sum = more;
  }
}

// From `from` partial sums to `to`, both powers of two: part i becomes that of all parts whose
// number is i modulo `to`.
void fold(ShardGradients& parts, int from, int to) {
  for (int half = from / 2; half >= to; half /= 2) {
    for (int i = 0; i < half; ++i) {
      add_to(parts[static_cast<size_t>(i)],
             std::exchange(parts[static_cast<size_t>(i + half)], at::Tensor()));
    }
  }
}

// Whether a shard whose number is `part` modulo `parts` has rows.
bool has_rows(const Shards& shards, int part, int parts) {
  for (int shard = part; shard < kShards; shard += parts) {
    if (!shards[static_cast<size_t>(shard)].empty()) return true;
  }
  return false;
}

}  // namespace

at::Tensor sum_on_ranks(Ranks& ranks, std::string_view step, const Shards& shards, int64_t size,
                        ShardGradients own) {
  // 1, 2, 4 or 8 ranks have whole branches of the tree each: they send one sum instead of all.
  const int parts = kShards % ranks.size() == 0 ? ranks.size() : kShards;
  fold(own, kShards, parts);
  const auto bytes = static_cast<size_t>(size) * sizeof(float);
  std::string mine;
  for (int part = ranks.rank(); part < parts; part += ranks.size()) {
    const at::Tensor& sum = own[static_cast<size_t>(part)];
    if (sum.defined()) mine.append(static_cast<const char*>(sum.const_data_ptr()), sum.nbytes());
  }
  const std::vector<std::string> all = ranks.exchange(step, std::move(mine));
  ShardGradients sums;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    std::string_view left = all[static_cast<size_t>(rank)];
    const size_t given = left.size();
    size_t expected = 0;
    for (int part = rank; part < parts; part += ranks.size()) {
      if (!has_rows(shards, part, parts)) continue;
      expected += bytes;
      if (left.size() < bytes) continue;
      at::Tensor& sum = sums[static_cast<size_t>(part)] = at::empty({size});
      std::memcpy(sum.mutable_data_ptr(), left.data(), bytes);
      left.remove_prefix(bytes);
    }
    require_bytes(rank, given, expected, "gradients");
  }
  fold(sums, parts, 1);
  return sums[0];
}

}  // namespace moecollab::training
