#include "data/refusal.h"

#include <fmt/format.h>

namespace moecollab::data {

Refusal to_refusal(int64_t line, const Refused& error) {
  return {line,
          static_cast<int64_t>(error.column),
          error.what(),
          error.hint,
          dynamic_cast<const RefusedFile*>(&error) != nullptr,
          dynamic_cast<const RefusedEmpty*>(&error) != nullptr};
}

std::string place(const Refusal& refusal) {
  return refusal.column == 0 ? fmt::format("{}", refusal.line)
                             : fmt::format("{}:{}", refusal.line, refusal.column);
}

std::string with_file(std::string hint, std::string_view file) {
  constexpr std::string_view kPlaceholder = "FILE";
  if (file == "-") return hint;  // standard input has to become a file first
  std::string quoted = "'";
  for (const char c : file) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  quoted += '\'';
  for (size_t at = hint.find(kPlaceholder); at != hint.npos;
       at = hint.find(kPlaceholder, at + quoted.size())) {
    hint.replace(at, kPlaceholder.size(), quoted);
  }
  return hint;
}

}  // namespace moecollab::data
