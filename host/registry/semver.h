// Versions and ranges of versions, after Semantic Versioning 2.0.0.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::registry {

// "1.4.0" or "1.4.0-rc.1". Build metadata ("+…") is refused: it has no order, so two versions that
// differ only in it could not be told apart.
struct Version {
  uint64_t major = 0, minor = 0, patch = 0;
  std::vector<std::string> prerelease;  // dot-separated identifiers; empty for a release

  // Throws std::invalid_argument saying what is wrong; callers add file and key.
  static Version parse(std::string_view text);
  // The same if the last number may be missing: "0.9" is 0.9.0.
  static Version parse_short(std::string_view text);
  std::string text() const;

  bool same_release(const Version& other) const {
    return major == other.major && minor == other.minor && patch == other.patch;
  }
  // Precedence of semver 2, item 11.
  std::strong_ordering operator<=>(const Version& other) const;
  bool operator==(const Version& other) const = default;
};

// Which versions an operator accepts:
//   "1.2.3", "=1.2.3"  that one           ">=1.2"  that one and every later one
//   "^1.2"             up to the next change of the leftmost non-zero number
//   "~1.2"             up to the next minor ("~1": the next major)          "*"  every one
// A prerelease is accepted only by a range that names a prerelease of the same release.
class VersionRange {
 public:
  VersionRange() = default;  // "*"
  // Throws std::invalid_argument saying what is wrong and what would be right.
  static VersionRange parse(std::string_view text);

  bool contains(const Version& version) const;
  const std::string& text() const { return text_; }
  bool operator==(const VersionRange& other) const { return text_ == other.text_; }

 private:
  std::string text_ = "*";
  Version lowest_;
  std::optional<Version> below_;  // exclusive
  bool exact_ = false;
};

}  // namespace moecollab::registry
