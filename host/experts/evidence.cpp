#include "experts/evidence.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::experts {
namespace {

bool is_inside_character(std::string_view text, int64_t byte) {
  const auto at = static_cast<size_t>(byte);
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U;
}

[[noreturn]] void refuse(const std::string& expert, const std::string& what) {
  throw Error("E_OUT", fmt::format("expert {}: explain() gave {}", escaped(expert), what),
              "leave out --explain, or ask its author");
}

}  // namespace

std::vector<Evidence> checked_evidence(const std::string& expert,
                                       std::span<const moec_evidence> written, int64_t count,
                                       std::string_view text) {
  if (count < 0 || count > std::ssize(written))
    refuse(expert, fmt::format("{} parts, asked for at most {}", count, written.size()));
  std::vector<Evidence> evidence;
  for (const moec_evidence& part : written.first(static_cast<size_t>(count))) {
    if (part.begin < 0 || part.begin > part.end || part.end > std::ssize(text)) {
      refuse(expert,
             fmt::format("bytes {} to {} of a text of {}", part.begin, part.end, text.size()));
    }
    if (!std::isfinite(part.weight)) refuse(expert, "a weight that is no number");
    Evidence checked{part.begin, part.end, part.weight};
    while (is_inside_character(text, checked.begin)) --checked.begin;
    while (is_inside_character(text, checked.end)) ++checked.end;
    evidence.push_back(checked);
  }
  return evidence;
}

}  // namespace moecollab::experts
