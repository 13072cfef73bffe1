// The ordered labels of a label space.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::registry {

inline constexpr size_t kMaxInlineLabels = 500;  // more come in a labels_file
inline constexpr size_t kMaxLabels = 65'536;
inline constexpr size_t kMaxLabelsFile = size_t{4} << 20;  // bytes

struct LabelFault {
  size_t index;      // of the first label at fault
  std::string what;  // "label "joy" stands twice", …
};

// The first label that is empty, holds a control character or stands twice.
std::optional<LabelFault> find_fault(const std::vector<std::string>& labels);

// One label per line, LF or CRLF, the last line with or without its end. `file` is named in
// refusals: E_REG_BYTES (no UTF-8), E_REG_SCHEMA with the line (a fault as above, no label at all),
// E_DESC_MISMATCH (more than kMaxLabels).
std::vector<std::string> parse_labels(std::string_view bytes, const std::string& file);

}  // namespace moecollab::registry
