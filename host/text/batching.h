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

}  // namespace moecollab::text
