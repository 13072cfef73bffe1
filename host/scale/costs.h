// What pools cost, side by side in one process.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "pipeline/pool.h"

namespace moecollab::scale {

// Opens every registry, whose gates are fitted, and times them in turns without a cache: batches of
// 32 texts that all experts answer, and single texts that the two of the greatest shares do. Of
// each: experts; load_seconds (of opening it, without the encoder's weights; the least of three),
// memory_bytes (that the process grew by when the experts were opened, and when they answered for
// the first time; the encoder's weights do not count); batch_32_ms and batch_1_ms, the least of all
// rounds, flops_32 and flops_1, operations per text, and each of these four as a ratio to the first
// registry's (…_ratio). At least 32 texts. Throws as a pool, and E_INTERRUPTED.
Json costs(const std::vector<fs::path>& registries, const std::vector<std::string>& texts,
           int rounds, const pipeline::PoolOptions& open);

}  // namespace moecollab::scale
