// The gradients of one training step, which ranks compute for each other.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <string_view>

#include "base/ranks.h"
#include "base/shards.h"

namespace moecollab::training {

// A vector [g] float32 of the host per shard; undefined: the shard has no rows, or another rank has
// it.
using ShardGradients = std::array<at::Tensor, kShards>;

// The sum over all shards, the same bits on all ranks and for any number of them: shards are added
// as ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)), of which those without rows are left out. `own`: of
// own_shards() that have rows, and overwritten; `shards`: the same on all ranks, at least one with
// rows. Throws as Ranks::exchange(), and E_DIST if a rank computed something else.
at::Tensor sum_on_ranks(Ranks& ranks, std::string_view step, const Shards& shards, int64_t size,
                        ShardGradients own);

}  // namespace moecollab::training
