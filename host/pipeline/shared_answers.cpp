#include "pipeline/shared_answers.h"

#include <fmt/format.h>

#include <cstring>
#include <string_view>
#include <vector>

#include "base/shards.h"

namespace moecollab::pipeline {

at::Tensor share_answers(Ranks& ranks, const std::string& expert, int64_t classes,
                         std::span<const int64_t> rows,
                         const std::function<at::Tensor(const std::vector<int64_t>&)>& forward) {
  const Shards shards = deal(std::ssize(rows));
  std::string own;
  for (const int shard : own_shards(ranks)) {
    std::vector<int64_t> asked;
    for (const int64_t i : shards[static_cast<size_t>(shard)])
      asked.push_back(rows[static_cast<size_t>(i)]);
    if (asked.empty()) continue;
    const at::Tensor output = forward(asked).to(at::kFloat).contiguous();
    own.append(static_cast<const char*>(output.const_data_ptr()), output.nbytes());
  }
  const std::vector<std::string> all = ranks.exchange(
      fmt::format("answers of expert {} to rows {}", expert, digest_of(rows)), std::move(own));
  at::Tensor output = at::empty({std::ssize(rows), classes});
  const size_t width = static_cast<size_t>(classes) * sizeof(float);
  for (int rank = 0; rank < ranks.size(); ++rank) {
    std::string_view left = all[static_cast<size_t>(rank)];
    size_t expected = 0;
    for (const int shard : shards_of(rank, ranks))
      expected += shards[static_cast<size_t>(shard)].size() * width;
    require_bytes(rank, left.size(), expected, "answers of expert " + expert);
    for (const int shard : shards_of(rank, ranks)) {
      for (const int64_t i : shards[static_cast<size_t>(shard)]) {
        std::memcpy(output[i].mutable_data_ptr(), left.data(), width);
        left.remove_prefix(width);
      }
    }
  }
  return output;
}

}  // namespace moecollab::pipeline
