// What an expert says that speaks for a class, checked.
#pragma once

#include <moecollab/ext/draft/explain.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::experts {

// What of a text, bytes [begin, end), speaks for a class, or below 0 against it.
struct Evidence {
  int64_t begin = 0, end = 0;
  double weight = 0;
};

// The first `count` of what the expert wrote about the text; places are widened to whole
// characters. Throws E_OUT for a count that is none, a place outside of the text, or a weight that
// is no number.
std::vector<Evidence> checked_evidence(const std::string& expert,
                                       std::span<const moec_evidence> written, int64_t count,
                                       std::string_view text);

}  // namespace moecollab::experts
