#include "data/domain_name.h"

#include <fmt/format.h>

#include "base/error.h"

namespace moecollab::data {
namespace {

constexpr size_t kMaxDomainName = 64;

// The character as it stands in a name; '\0' for one that none stands for.
char name_character(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  if (c == '.' || c == ' ') return '-';
  const bool same = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  return same ? c : '\0';
}

}  // namespace

std::optional<std::string> find_domain_name(std::string_view given) {
  if (given.empty() || given.size() > kMaxDomainName) return std::nullopt;
  std::string name;
  for (const char c : given) name += name_character(c);
  if (name.find('\0') != std::string::npos) return std::nullopt;
  return name;
}

std::string domain_name(std::string_view given, std::string_view what) {
  if (auto name = find_domain_name(given)) return *std::move(name);
  throw Error(
      "E_CONFIG",
      fmt::format("{} cannot be a domain's name: a name has 1 to {} letters of a-z, digits, "
                  "`_` and `-` (capitals are lowered; dots and blanks become `-`)",
                  what, kMaxDomainName),
      "give the domain another name");
}

}  // namespace moecollab::data
