#include "registry/labels.h"

#include <fmt/format.h>

#include <unordered_set>

#include "base/error.h"
#include "base/strings.h"
#include "registry/names.h"

namespace moecollab::registry {

std::optional<LabelFault> find_fault(const std::vector<std::string>& labels) {
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::string& label = labels[i];
    if (label.empty()) return LabelFault{i, "a label is empty"};
    const std::string shown = escaped(label, 80);
    if (has_control(label)) {
      return LabelFault{i, fmt::format("label \"{}\" holds a control character", shown)};
    }
    if (!seen.insert(label).second) {
      return LabelFault{i, fmt::format("label \"{}\" stands twice", shown)};
    }
  }
  return std::nullopt;
}

std::vector<std::string> parse_labels(std::string_view bytes, const std::string& file) {
  size_t bad = 0;
  if (!is_utf8(bytes, &bad)) {
    throw Error("E_REG_BYTES", fmt::format("{}: invalid UTF-8 at byte {}", file, bad),
                "save the file as plain UTF-8 text");
  }
  std::vector<std::string> labels;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    std::string_view line = bytes.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    labels.emplace_back(line);
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (labels.size() > kMaxLabels) {
      throw Error("E_DESC_MISMATCH",
                  fmt::format("{}: more than the {} labels allowed", file, kMaxLabels));
    }
  }
  if (labels.empty()) throw Error(kSchemaCode, fmt::format("{}: holds no label", file));
  if (const auto fault = find_fault(labels)) {
    throw Error(kSchemaCode, fmt::format("{}:{}: {}", file, fault->index + 1, fault->what));
  }
  return labels;
}

}  // namespace moecollab::registry
