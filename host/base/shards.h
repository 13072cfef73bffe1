// Work in as many parts on one machine as on many, so that the number of machines moves no bit.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ranks.h"

namespace moecollab {

// Every step of a run on ranks has this many parts, whatever their number; so no more can compute.
inline constexpr int kShards = 8;

// Rows, ascending.
using Shards = std::array<std::vector<int64_t>, kShards>;

// Deals out the rows [0, n), longest first, so that all shards have about as many and about equal
// lengths of them. Rows of one length are dealt in their order.
Shards deal(std::span<const int32_t> lengths);
// The same of n rows of which no length is known.
Shards deal(int64_t rows);

// Digest of what a step is about: ranks whose rows differ are then at different steps, and say so
// instead of taking each other's rows for their own.
std::string digest_of(std::span<const int64_t> rows);
// The shards that a rank computes, ascending.
std::vector<int> shards_of(int rank, const Ranks& ranks);
inline std::vector<int> own_shards(const Ranks& ranks) { return shards_of(ranks.rank(), ranks); }

// Throws E_DIST naming the rank, unless it gave as many bytes of its part as there must be.
// `what`: "gradients".
void require_bytes(int rank, size_t given, size_t expected, std::string_view what);

}  // namespace moecollab
