// Batches of rows of like length, so that little of a batch is padding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moecollab::text {

// Row indices in batches: longest rows first, rows of one length in their order, and as many to a
// batch as have at most `token_budget` tokens in sum (padding not counted), but at least one.
// `lengths[i]` >= 0 is the number of tokens of row i. Throws E_CONFIG if token_budget < 1.
std::vector<std::vector<int64_t>> plan_batches(std::span<const int32_t> lengths,
                                               int64_t token_budget);

// What runs side by side and should end at about the same time.
struct EvenBatches {
  int64_t shares = 1;  // how many run at once
  int64_t least = 1;   // tokens of a batch, >= 1: fewer are not worth one
  int64_t most = 1;    // tokens of a batch
};

// The same in about equal batches, a multiple of `shares` or, if texts are long, a few less: as few
// as hold at most `most` tokens each, or one row. Rows that are too few for all shares come in as
// few batches as plan_batches() makes of `most`.
std::vector<std::vector<int64_t>> plan_even_batches(std::span<const int32_t> lengths,
                                                    const EvenBatches& wanted);

}  // namespace moecollab::text
