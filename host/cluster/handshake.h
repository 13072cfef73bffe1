// What must be equal on all ranks, compared before anything is computed.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/ranks.h"

namespace moecollab::cluster {

// Names and values, in an order of one's own: digests, versions, seeds.
using Facts = std::vector<std::pair<std::string, std::string>>;

// Throws E_DIST on every rank, naming the first fact that is not the same everywhere, two ranks and
// their values.
void require_equal(Ranks& ranks, std::string_view step, const Facts& own);
// The same for facts that move the last bits of results only: returns the sentence, or "".
std::string first_difference(Ranks& ranks, std::string_view step, const Facts& own);

}  // namespace moecollab::cluster
