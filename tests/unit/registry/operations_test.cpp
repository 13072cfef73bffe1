// What an operator changes: entries and versions.
#include "unit/registry/operations_fixture.h"

namespace moecollab::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(OperationsTest, DisablesAndEnablesOnTheKeysOwnLine) {
  const OperationResult off = enable(operation(), "news", false);
  EXPECT_TRUE(off.differs);
  EXPECT_EQ(off.change, 2);
  EXPECT_EQ(text(), replaced(kRegistry, "enabled = true ", "enabled = false "));
  EXPECT_EQ(read_lock(folder).find("news")->state, State::kDisabled);
  EXPECT_FALSE(enable(operation(), "news", false).differs);
  EXPECT_EQ(newest_change(folder), 2);
  enable(operation(), "news", true);
  EXPECT_EQ(text(), kRegistry);
  EXPECT_EQ(read_lock(folder).find("news")->state, State::kManifestOk);
  enable(operation(), "legal", false);
  EXPECT_EQ(text(),
            replaced(kRegistry, "version = \"^1.0\"\n", "version = \"^1.0\"\nenabled = false\n"));
}

TEST_F(OperationsTest, ADryRunSaysWhatWouldBeAndWritesNothing) {
  const OperationResult off = enable(operation(true), "news", false);
  EXPECT_TRUE(off.differs);
  EXPECT_EQ(off.change, std::nullopt);
  EXPECT_FALSE(off.after.entry->enabled);
  remove_expert(operation(true), "legal");
  EXPECT_EQ(text(), kRegistry);
  EXPECT_EQ(newest_change(folder), 1);
}

TEST_F(OperationsTest, RemovesOneTableAndNoCommentOfAnother) {
  const OperationResult gone = remove_expert(operation(), "legal");
  EXPECT_FALSE(gone.after.entry.has_value());
  EXPECT_EQ(text(), R"(schema = 1

# Clauses; ask Ann before you touch it.

# Headlines.
[[expert]]
name = "news"
id = "com.example.news"
enabled = true          # since May

[gate]
top_k = 2
)");
  EXPECT_EQ(read_lock(folder).find("legal"), nullptr);
  EXPECT_TRUE(fs::exists(folder / "experts" / "legal" / "1.0.0")) << "until gc";
  remove_expert(operation(), "news");
  EXPECT_THAT(text(), HasSubstr("# Headlines.\n\n[gate]\ntop_k = 2\n"));
  EXPECT_TRUE(read_registry(folder).experts.empty());
}

TEST_F(OperationsTest, AnUnknownNameGetsTheNearestOne) {
  expect_error([&] { enable(operation(), "newz", false); }, "E_CONFIG", "news");
  expect_error([&] { remove_expert(operation(), "newz"); }, "E_CONFIG", "news");
  EXPECT_EQ(newest_change(folder), 1);
}

TEST_F(OperationsTest, InlineTablesAreRefusedAndLeftAlone) {
  const std::string inline_table =
      "schema = 1\nexpert = [{ name = \"news\", id = \"com.example.news\" }, "
      "{ name = \"legal\", id = \"com.example.legal\" }]\n";
  write(folder / "registry.toml", inline_table);
  for (const auto& call :
       std::vector<std::function<void()>>{[&] { pin(operation(), "news", "1.0.0", false); },
                                          [&] { remove_expert(operation(), "news"); }}) {
    expect_error(call, "E_REG_SCHEMA", "[[expert]]");
    EXPECT_EQ(text(), inline_table);
  }
}

TEST_F(OperationsTest, ANewVersionWaitsUntilTheLockMoves) {
  install("legal", "1.1.0");
  EXPECT_EQ(selected("legal"), "1.0.0");
  EXPECT_EQ(newer("legal"), Version::parse("1.1.0"));
  EXPECT_EQ(newer("news"), std::nullopt);
  EXPECT_EQ(newest_of_range(folder, "legal"), folder / "experts" / "legal" / "1.1.0");
  const Package next = open_package(folder / "experts" / "legal" / "1.1.0");
  EXPECT_NO_THROW(require_upgrade(folder, next, "legal"));
  select("legal", "1.1.0");
  EXPECT_EQ(selected("legal"), "1.1.0");
  expect_error([&] { require_upgrade(folder, next, "legal"); }, "E_CONFIG",
               "version 1.1.0 is selected already");
  fs::remove(folder / "registry.lock.toml");
  EXPECT_EQ(selected("legal"), "1.1.0") << "without a lock the highest";
}

TEST_F(OperationsTest, APinHoldsAVersionWhateverIsInstalled) {
  install("legal", "1.1.0");
  select("legal", "1.1.0");
  expect_error([&] { pin(operation(), "legal", "1.0.0", false); }, "E_PLUG_ROLLBACK",
               "--allow-downgrade");
  const OperationResult pinned = pin(operation(), "legal", "1.0.0", true);
  EXPECT_EQ(pinned.before.version, "1.1.0");
  EXPECT_EQ(pinned.after.version, "1.0.0");
  EXPECT_EQ(text(),
            replaced(kRegistry, "version = \"^1.0\"\n", "version = \"^1.0\"\npin = \"1.0.0\"\n"));
  EXPECT_EQ(selected("legal"), "1.0.0");
  EXPECT_EQ(newer("legal"), Version::parse("1.1.0"));
  const Package next = open_package(folder / "experts" / "legal" / "1.1.0");
  expect_error([&] { require_upgrade(folder, next, "legal"); }, "E_CONFIG", "unpin legal");
  pin(operation(), "legal", "1.1.0", false);
  EXPECT_THAT(text(), HasSubstr("pin = \"1.1.0\"\n"));
  write(folder / "registry.toml", replaced(text(), "pin = \"1.1.0\"", "pin = \"1.1.0\"  # Ann's"));
  unpin(operation(), "legal");
  EXPECT_EQ(text(), replaced(kRegistry, "version = \"^1.0\"\n", "version = \"^1.0\"\n# Ann's\n"));
  EXPECT_EQ(selected("legal"), "1.1.0");
  expect_error([&] { pin(operation(), "legal", "3.0.0", false); }, "E_REG_MISSING",
               "there is 1.0.0, 1.1.0");
  install("legal", "2.0.0");
  expect_error([&] { pin(operation(), "legal", "2.0.0", false); }, "E_CONFIG", "not in ^1.0");
}

TEST_F(OperationsTest, APinOutsideOfTheRangeIsRefused) {
  write(folder / "registry.toml",
        replaced(kRegistry, "version = \"^1.0\"\n", "version = \"^1.0\"\npin = \"2.0.0\"\n"));
  expect_error([&] { read_registry(folder); }, "E_REG_SCHEMA", "not in the range");
}

TEST_F(OperationsTest, ThePinnedVersionMustBeThere) {
  write(folder / "registry.toml",
        replaced(kRegistry, "version = \"^1.0\"\n", "version = \"^1.0\"\npin = \"1.5.0\"\n"));
  const auto candidates = resolve(folder, read_registry(folder), read_lock(folder));
  EXPECT_EQ(candidates.at(0).refusal->code, "E_REG_MISSING");
  EXPECT_THAT(candidates.at(0).refusal->rule, HasSubstr("=1.5.0"));
}

TEST_F(OperationsTest, AnExpertWhosePackageIsAwayKeepsItsPlaceInTheLock) {
  fs::rename(folder / "experts" / "legal", folder / "away");
  write_lock_again(operation());
  ASSERT_NE(read_lock(folder).find("legal"), nullptr);
  fs::rename(folder / "away", folder / "experts" / "legal");
  EXPECT_TRUE(lock_differences(folder).empty());
}

TEST_F(OperationsTest, TheLockIsComparedWithWhatIsInstalled) {
  EXPECT_TRUE(lock_differences(folder).empty());
  install("news", "2.0.0");
  fs::remove_all(folder / "experts" / "news" / "1.0.0");
  EXPECT_THAT(lock_differences(folder), ElementsAre("news 1.0.0 -> 2.0.0"));
  EXPECT_EQ(write_lock_again(operation(true)), 0);
  EXPECT_EQ(write_lock_again(operation()), 2);
  EXPECT_TRUE(lock_differences(folder).empty());
  EXPECT_EQ(write_lock_again(operation()), 0);
}

TEST_F(OperationsTest, AnEditedManifestIsNotTakenUntilTheLockIsWrittenAgain) {
  const fs::path manifest = folder / "experts" / "legal" / "1.0.0" / "expert.toml";
  const std::string good = read_file(manifest, "E_TEST");
  const std::string locked = read_lock(folder).find("legal")->manifest_sha256;
  const auto legal = [&] {
    return resolve(folder, read_registry(folder), read_lock(folder)).at(0);
  };
  EXPECT_FALSE(legal().edit);
  write(manifest, good + "# mine\n");
  ASSERT_TRUE(legal().edit);
  EXPECT_EQ(legal().state, State::kManifestOk);
  EXPECT_EQ(legal().edit->code, "E_PLUG_DIGEST");
  EXPECT_EQ(legal().edit->expected, locked);
  EXPECT_THAT(legal().edit->rule, HasSubstr("legal 1.0.0: expert.toml is not the one"));
  EXPECT_THAT(lock_differences(folder), ElementsAre(HasSubstr("legal 1.0.0: the package is ")));
  enable(operation(), "news", false);
  EXPECT_EQ(read_lock(folder).find("legal")->manifest_sha256, locked) << "another's change";
  EXPECT_TRUE(legal().edit);
  write_lock_again(operation());
  EXPECT_FALSE(legal().edit) << "who writes it again means it";
  EXPECT_NE(read_lock(folder).find("legal")->manifest_sha256, locked);
  write(manifest, good);
  EXPECT_TRUE(legal().edit);
}

TEST_F(OperationsTest, APinOfAVersionThatCannotBeReadLeavesAReadableLock) {
  install("legal", "1.1.0");
  write(folder / "experts" / "legal" / "1.1.0" / "expert.toml", "no manifest");
  pin(operation(), "legal", "1.1.0", false);
  EXPECT_EQ(read_lock(folder).find("legal"), nullptr);
  EXPECT_EQ(resolve(folder, read_registry(folder), read_lock(folder)).at(0).state, State::kRefused);
}

TEST_F(OperationsTest, APackageOfAnotherIdIsNoUpgrade) {
  std::string text = manifest_text(sha256_hex("library"));
  text = replaced(text, "version = \"2.1.0\"", "version = \"1.1.0\"");
  write_package(folder / "experts" / "legal" / "1.1.0", text);
  expect_error(
      [&] {
        require_upgrade(folder, open_package(folder / "experts" / "legal" / "1.1.0"), "legal");
      },
      "E_DESC_MISMATCH", "asks for id com.example.legal");
}

}  // namespace
}  // namespace moecollab::registry
