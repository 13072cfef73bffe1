// Damaged files: every truncation and every flipped bit is read or refused, under the sanitizers.
#include <functional>
#include <set>
#include <string>

#include "registry/manifest.h"
#include "registry/registry_file.h"
#include "unit/in_brief.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using Read = std::function<void(const std::string&)>;

// The codes that the refusals had; anything but an Error of E_REG_* or E_PLUG_PATH is a failure.
std::set<std::string> codes_of_damage(const std::string& good, const Read& read) {
  std::set<std::string> codes;
  const auto attempt = [&](const std::string& text) {
    try {
      read(text);
    } catch (const Error& error) {
      codes.insert(error.code());
    }
  };
  for (size_t length = 0; length < good.size(); ++length) attempt(good.substr(0, length));
  for (size_t i = 0; i < good.size(); ++i) {
    const int step = in_brief() ? 3 : 1;
    for (int bit = static_cast<int>(i) % step; bit < 8; bit += step) {
      std::string text = good;
      text[i] = static_cast<char>(text[i] ^ (1 << bit));
      attempt(text);
    }
  }
  return codes;
}

// No others, and each of them if all cases were tried.
void expect_codes(const std::set<std::string>& codes, const std::set<std::string>& all) {
  EXPECT_THAT(codes, testing::IsSubsetOf(all));
  if (!in_brief()) {
    EXPECT_EQ(codes, all);
  }
}

TEST(Damage, RegistryIsReadOrRefused) {
  const auto codes =
      codes_of_damage(registry_toml(), [](const std::string& text) { parse_registry(text, "r"); });
  expect_codes(codes, {"E_REG_BYTES", "E_REG_SCHEMA", "E_REG_SYNTAX"});
}

TEST(Damage, ManifestIsReadOrRefused) {
  const auto codes =
      codes_of_damage(manifest_text(), [](const std::string& text) { parse_manifest(text, "m"); });
  expect_codes(codes, {"E_PLUG_PATH", "E_REG_BYTES", "E_REG_SCHEMA", "E_REG_SYNTAX"});
}

// Structure repeated and nested until it would hurt.
TEST(Damage, NestingIsRefusedBeforeTheParser) {
  const auto repeated = [](const std::string& part, size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += part;
    return text;
  };
  for (const char* part : {"[", "{", "{a=", "a.", "[[", "[{a=", "\"a\".", "'a' . "}) {
    for (const char* before : {"", "x = ", "x = [\"\"\"a\"\"\"\", ", "x = [''' ''''', ", "[",
                               "# \"\n", "x = \"\\\"\" # '\ny = "}) {
      const std::string text = before + repeated(part, 60'000);
      const Error error = error_of([&] { parse_registry(text, "r"); });
      EXPECT_THAT(error.code(), testing::AnyOf("E_REG_SIZE", "E_REG_SYNTAX")) << before << part;
    }
  }
}

}  // namespace
}  // namespace moecollab::registry
