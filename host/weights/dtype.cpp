#include "weights/dtype.h"

#include <array>
#include <vector>

#include "base/strings.h"

namespace moecollab::weights {
namespace {

struct Kind {
  std::string_view name;
  unsigned bits;
};

constexpr std::array<Kind, 22> kKinds{{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};

// Longer texts are no mistyped dtype, and the edit distance costs time in their length.
constexpr size_t kLongestSuggested = 32;

}  // namespace

std::string_view name(DType dtype) { return kKinds.at(static_cast<size_t>(dtype)).name; }

unsigned bits(DType dtype) { return kKinds.at(static_cast<size_t>(dtype)).bits; }

std::optional<DType> parse_dtype(std::string_view text) {
  for (size_t i = 0; i < kKinds.size(); ++i) {
    if (kKinds[i].name == text) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::string dtype_suggestion(std::string_view text) {
  if (text.size() > kLongestSuggested) return "";
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  return did_you_mean(text, names);
}

}  // namespace moecollab::weights
