#include "registry/registry_edit.h"

#include <algorithm>
#include <string>

#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::StartsWith;

ExpertEntry medical() {
  ExpertEntry entry;
  entry.name = "medical";
  entry.id = "org.example.medical";
  entry.version = VersionRange::parse("^1.2");
  entry.weight_cap = 0.25;
  entry.config = {{"k", 8}, {"nested", {{"list", {1, 2}}}}};
  return entry;
}

TEST(RegistryEdit, AppendsOneTableAndKeepsEveryByte) {
  const std::string before = registry_toml() + "# the last line, no end";
  const std::string after = with_expert(before, medical(), "registry.toml");
  EXPECT_THAT(after, StartsWith(before + "\n\n[[expert]]\nname = \"medical\"\n"));
  const RegistryFile r = parse_registry(after, "registry.toml");
  ASSERT_EQ(r.experts.size(), 3u);
  EXPECT_EQ(r.experts[2].id, "org.example.medical");
  EXPECT_EQ(r.experts[2].version.text(), "^1.2");
  EXPECT_EQ(r.experts[2].weight_cap, 0.25);
  EXPECT_EQ(r.experts[2].config, medical().config);
  EXPECT_TRUE(r.experts[2].enabled);
  EXPECT_EQ(r.gate.top_k, 2);
}

TEST(RegistryEdit, FlagsSurvive) {
  ExpertEntry entry = medical();
  entry.enabled = false;
  entry.required = true;
  const RegistryFile r = parse_registry(with_expert("", entry, "r"), "r");
  ASSERT_EQ(r.experts.size(), 1u);
  EXPECT_FALSE(r.experts[0].enabled);
  EXPECT_TRUE(r.experts[0].required);
}

TEST(RegistryEdit, KeepsTheLineEnds) {
  const std::string after = with_expert("schema = 1\r\n", medical(), "r");
  EXPECT_EQ(std::count(after.begin(), after.end(), '\n'),
            std::count(after.begin(), after.end(), '\r'));
  EXPECT_THAT(after, testing::Not(testing::ContainsRegex("[^\r]\n")));
  EXPECT_EQ(parse_registry(after, "r").experts.size(), 1u);
}

TEST(RegistryEdit, RefusesWhatWouldNotBeValid) {
  ExpertEntry entry = medical();
  entry.name = "legal";
  expect_error([&] { with_expert(registry_toml(), entry, "r"); }, "E_REG_SCHEMA", "stands twice");
  entry.name = "../x";
  expect_error([&] { with_expert(registry_toml(), entry, "r"); }, "E_REG_SCHEMA", "../x");
  const std::string inline_list = "schema = 1\nexpert = [{ name = \"a\", id = \"org.a\" }]\n";
  expect_error([&] { with_expert(inline_list, medical(), "r"); }, "E_REG_SCHEMA",
               "`expert = [...]`");
  expect_error([&] { with_expert("schema = 1\nexpert = []\n", medical(), "r"); }, "E_REG_SCHEMA",
               "[[expert]]");
  const std::string full = "schema = 1\n#" + std::string(kMaxRegistry - 12, 'x');
  expect_error([&] { with_expert(full, medical(), "r"); }, "E_REG_SIZE", "65536");
}

TEST(RegistryEdit, WritesToTheFolderOrLeavesItAsItWas) {
  const TemporaryFolder folder;
  write(folder.path() / "registry.toml", registry_toml());
  append_expert(folder.path(), medical());
  EXPECT_EQ(read_registry(folder.path()).experts.size(), 3u);
  const std::string text = registry_text(folder.path());
  EXPECT_THROW(append_expert(folder.path(), medical()), Error);
  EXPECT_EQ(registry_text(folder.path()), text);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

TEST(RegistryEdit, ALinkedFileIsReplacedWhereItLies) {
  const TemporaryFolder folder, elsewhere;
  const fs::path link = folder.path() / kRegistryFile, target = elsewhere.path() / "real.toml";
  write_file_atomic(target, registry_toml());
  fs::create_symlink(target, link);
  append_expert(folder.path(), medical());
  EXPECT_EQ(fs::read_symlink(link), target);
  EXPECT_EQ(read_file(target, "E_TEST"), with_expert(registry_toml(), medical(), "r"));
  EXPECT_EQ(std::distance(fs::directory_iterator(elsewhere.path()), {}), 1);
  fs::remove(target);
  const std::string said = "registry.toml is a symbolic link to " + target.string();
  expect_error([&] { append_expert(folder.path(), medical()); }, "E_REG_IO", said);
  expect_error([&] { read_registry(folder.path()); }, "E_REG_IO", said);
}

TEST(RegistryEdit, ANewRegistryHoldsItsEncoder) {
  const EncoderEntry encoder{"/deps/encoder \"x\"", 64, "literal", kFingerprint};
  const RegistryFile r = parse_registry(new_registry_text(encoder), "r");
  EXPECT_EQ(r.encoder.path, encoder.path);
  EXPECT_EQ(r.encoder.max_length, 64);
  EXPECT_EQ(r.encoder.special_tokens, "literal");
  EXPECT_EQ(r.encoder.fingerprint, kFingerprint);
  EXPECT_TRUE(r.experts.empty());
  expect_error([] { new_registry_text({"/deps", 64, "litteral", ""}); }, "E_REG_SCHEMA", "literal");
}

}  // namespace
}  // namespace moecollab::registry
