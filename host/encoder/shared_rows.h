// Features that ranks computed for each other.
#pragma once

#include <span>
#include <string>

#include "base/shards.h"
#include "encoder/features.h"

namespace moecollab::encoder {

// Each rank has computed the request for the texts of its shards: afterwards all have it for all.
// `shards`: indices of `rows`, which are rows of `out`, the same on all ranks, as is their room in
// `out`. Throws as Ranks::exchange(), and E_DIST if a rank computed something else.
void share_rows(Ranks& ranks, const Shards& shards, std::span<const int64_t> rows,
                const FeatureRequest& request, Features& out);

}  // namespace moecollab::encoder
