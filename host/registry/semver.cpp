#include "registry/semver.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "base/strings.h"

namespace moecollab::registry {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kIdentifier =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-";

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw std::invalid_argument(fmt::format("\"{}\" is no version: {}", escaped(text, 60), why));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_numeric(std::string_view part) {
  return !part.empty() && part.find_first_not_of(kDigits) == std::string_view::npos;
}

uint64_t parse_number(std::string_view part, std::string_view whole) {
  if (!is_numeric(part)) refuse(whole, "its parts must be numbers, as in 1.2.3");
  if (part.size() > 1 && part[0] == '0') refuse(whole, "a number may not start with 0");
  uint64_t value = 0;
  if (std::from_chars(part.data(), part.data() + part.size(), value).ec != std::errc()) {
    refuse(whole, "a number is too large");
  }
  return value;
}

std::vector<std::string> parse_prerelease(std::string_view text, std::string_view whole) {
  std::vector<std::string> identifiers;
  for (const std::string_view part : split(text, '.')) {
    if (part.empty() || part.find_first_not_of(kIdentifier) != std::string_view::npos) {
      refuse(whole, "a prerelease is identifiers of letters, digits and -, joined by dots");
    }
    if (is_numeric(part) && part.size() > 1 && part[0] == '0') {
      refuse(whole, "a number may not start with 0");
    }
    identifiers.emplace_back(part);
  }
  return identifiers;
}

// A version of which trailing numbers may be missing (a range's bound); `*given`: how many are
// there.
Version parse_partial(std::string_view text, size_t* given) {
  if (text.find('+') != std::string_view::npos) refuse(text, "build metadata is not taken");
  const size_t dash = text.find('-');
  const auto numbers = split(text.substr(0, dash), '.');
  if (numbers.size() > 3) refuse(text, "it has more than three numbers");
  Version version;
  uint64_t* const slots[] = {&version.major, &version.minor, &version.patch};
  for (size_t i = 0; i < numbers.size(); ++i) *slots[i] = parse_number(numbers[i], text);
  if (dash != std::string_view::npos) {
    if (numbers.size() < 3) refuse(text, "a prerelease needs all three numbers before it");
    version.prerelease = parse_prerelease(text.substr(dash + 1), text);
  }
  *given = numbers.size();
  return version;
}

// Numeric identifiers have no leading zeros, so the longer one is the larger.
std::strong_ordering compare_identifiers(const std::string& a, const std::string& b) {
  const bool a_numeric = is_numeric(a), b_numeric = is_numeric(b);
  if (a_numeric != b_numeric) {
    return a_numeric ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (a_numeric && a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

Version release(uint64_t major, uint64_t minor, uint64_t patch) {
  return {major, minor, patch, {}};
}

Version above_caret(const Version& v, size_t given) {
  if (v.major > 0 || given == 1) return release(v.major + 1, 0, 0);
  if (v.minor > 0 || given == 2) return release(0, v.minor + 1, 0);
  return release(0, 0, v.patch + 1);
}

Version above_tilde(const Version& v, size_t given) {
  return given == 1 ? release(v.major + 1, 0, 0) : release(v.major, v.minor + 1, 0);
}

}  // namespace

Version Version::parse(std::string_view text) {
  size_t given = 0;
  Version version = parse_partial(text, &given);
  if (given != 3) refuse(text, "it must have three numbers, as in 1.2.3");
  return version;
}

Version Version::parse_short(std::string_view text) {
  size_t given = 0;
  Version version = parse_partial(text, &given);
  if (given < 2) refuse(text, "it must have two or three numbers, as in 0.9");
  return version;
}

std::string Version::text() const {
  std::string out = fmt::format("{}.{}.{}", major, minor, patch);
  return prerelease.empty() ? out : out + "-" + join(prerelease, ".");
}

std::strong_ordering Version::operator<=>(const Version& other) const {
  if (const auto order = major <=> other.major; order != 0) return order;
  if (const auto order = minor <=> other.minor; order != 0) return order;
  if (const auto order = patch <=> other.patch; order != 0) return order;
  if (prerelease.empty() != other.prerelease.empty()) {
    return prerelease.empty() ? std::strong_ordering::greater : std::strong_ordering::less;
  }
  const size_t shared = std::min(prerelease.size(), other.prerelease.size());
  for (size_t i = 0; i < shared; ++i) {
    const auto order = compare_identifiers(prerelease[i], other.prerelease[i]);
    if (order != 0) return order;
  }
  return prerelease.size() <=> other.prerelease.size();
}

VersionRange VersionRange::parse(std::string_view text) {
  VersionRange range;
  range.text_ = text;
  if (text == "*") return range;

  std::string_view bound = text;
  std::string_view sign;
  for (const std::string_view candidate : {"^", "~", ">=", "="}) {
    if (bound.starts_with(candidate)) sign = candidate;
  }
  bound.remove_prefix(sign.size());
  size_t given = 0;
  try {
    range.lowest_ = parse_partial(bound, &given);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(
        fmt::format("{} (a range is one of ^1.2, ~1.2, >=1.2, =1.2.3, 1.2.3, *)", error.what()));
  }
  if (sign == "^") {
    range.below_ = above_caret(range.lowest_, given);
  } else if (sign == "~") {
    range.below_ = above_tilde(range.lowest_, given);
  } else if (sign != ">=") {
    if (given != 3) {
      throw std::invalid_argument(fmt::format(
          "\"{}\" is no range: one exact version has three numbers; for any {}.x write ^{}",
          escaped(text, 60), bound, bound));
    }
    range.exact_ = true;
  }
  return range;
}

bool VersionRange::contains(const Version& version) const {
  if (exact_) return version == lowest_;
  if (version < lowest_ || (below_ && version >= *below_)) return false;
  return version.prerelease.empty() ||
         (!lowest_.prerelease.empty() && version.same_release(lowest_));
}

}  // namespace moecollab::registry
