// Batches of texts, and what is done of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moecollab::encoder {

// Groups of neighbours, of that many texts or more but for the last.
inline std::vector<std::span<const std::vector<int64_t>>> settled_together(
    const std::vector<std::vector<int64_t>>& batches, size_t together) {
  std::vector<std::span<const std::vector<int64_t>>> groups;
  for (size_t begin = 0, end = 0; begin < batches.size(); begin = end) {
    for (size_t texts = 0; end < batches.size() && texts < together; ++end)
      texts += batches[end].size();
    groups.push_back(std::span(batches).subspan(begin, end - begin));
  }
  return groups;
}

// The rows of all texts of the batches that are done, in the order of the batches.
inline std::vector<int64_t> rows_of_done(std::span<const std::vector<int64_t>> batches,
                                         const std::vector<char>& done,
                                         std::span<const int64_t> rows) {
  std::vector<int64_t> own;
  for (const std::vector<int64_t>& batch : batches) {
    for (const int64_t text : batch)
      if (done[static_cast<size_t>(text)] != 0) own.push_back(rows[static_cast<size_t>(text)]);
  }
  return own;
}

}  // namespace moecollab::encoder
