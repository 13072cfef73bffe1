// What an operator changes: entries, versions, states that are put back, and what nobody needs.
#include "registry/operations.h"

#include "registry/garbage.h"
#include "registry/layout.h"
#include "registry/registry_state.h"
#include "registry/resolution.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kRegistry = R"(schema = 1

# Clauses; ask Ann before you touch it.
[[expert]]
name = "legal"          # in the folder of that name
id = "com.example.legal"
version = "^1.0"

[expert.config]
k = 32

# Headlines.
[[expert]]
name = "news"
id = "com.example.news"
enabled = true          # since May

[gate]
top_k = 2
)";

struct OperationsTest : testing::Test {
  OperationsTest() {
    write(folder / "registry.toml", kRegistry);
    install("legal", "1.0.0");
    install("news", "1.0.0");
    write_lock_again(operation());
  }
  void install(const std::string& name, const std::string& version) {
    install_package(folder, name, version);
  }
  Operation operation(bool dry_run = false) const {
    return {folder, {"moecollab experts …", "because"}, dry_run, Log()};
  }
  std::string text() const { return read_file(folder / "registry.toml", "E_TEST"); }
  std::string selected(const std::string& name) const {
    for (const Candidate& candidate : resolve(folder, read_registry(folder), read_lock(folder)))
      if (candidate.name == name && candidate.package)
        return candidate.package->manifest.expert.version.text();
    return "none";
  }
  std::optional<Version> newer(const std::string& name) const {
    for (const Candidate& candidate : resolve(folder, read_registry(folder), read_lock(folder)))
      if (candidate.name == name) return candidate.newer;
    return std::nullopt;
  }
  // As an upgrade does.
  void select(const std::string& name, const std::string& version) {
    Lock lock = read_lock(folder);
    for (LockEntry& entry : lock.entries) {
      if (entry.name != name) continue;
      entry.version = Version::parse(version);
      entry.manifest_sha256.clear();
    }
    const FileLock held = lock_registry(folder, Log());
    Change change(folder, held, Log());
    change.put("registry.lock.toml", lock_text(resolved_lock(folder, read_registry(folder), lock)));
    change.commit({"moecollab experts upgrade", ""});
  }
  void set_gate(const std::string& toml) {
    const FileLock held = lock_registry(folder, Log());
    Change change(folder, held, Log());
    change.put("gate/gate.toml", toml);
    change.put("gate/gate.safetensors", "tensors of " + toml);
    change.commit({"moecollab train-gate", ""});
  }

  TemporaryFolder root;
  fs::path folder = root.path();
};

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

TEST_F(OperationsTest, ALockThatWentIsKnownByTheHistory) {
  EXPECT_FALSE(lock_is_lost(folder));
  fs::remove(folder / "registry.lock.toml");
  EXPECT_TRUE(lock_is_lost(folder));
  fs::remove_all(folder / "history");
  EXPECT_FALSE(lock_is_lost(folder)) << "no change wrote one";
}

TEST_F(OperationsTest, RollsBackEveryStateFileBitForBit) {
  set_gate("schema = 1\n# one\n");
  const StateDigests wanted = present_state(folder);
  install("legal", "1.1.0");
  select("legal", "1.1.0");  // change 3
  set_gate("schema = 1\n# two\n");
  remove_expert(operation(), "news");
  const StateDigests last = present_state(folder);
  const RollbackResult dry = rollback(operation(true), 3);
  EXPECT_EQ(dry.change, 0);
  EXPECT_THAT(dry.versions, ElementsAre("legal 1.1.0 -> 1.0.0", "news none -> 1.0.0"));
  EXPECT_EQ(present_state(folder), last);
  EXPECT_EQ(rollback(operation(), 3).change, 6);
  EXPECT_EQ(present_state(folder), wanted);
  EXPECT_EQ(selected("legal"), "1.0.0");
  EXPECT_EQ(newer("legal"), Version::parse("1.1.0"));
  EXPECT_EQ(rollback(operation(), std::nullopt).change, 7) << "undoes the rollback";
  EXPECT_EQ(present_state(folder), last);
  EXPECT_EQ(rollback(operation(), 7).change, 8);
  EXPECT_EQ(present_state(folder), wanted);
  EXPECT_EQ(rollback(operation(), 3).change, 0) << "it is so already";
}

TEST_F(OperationsTest, RollsBackToARegistryWithoutAGate) {
  set_gate("schema = 1\n");
  rollback(operation(), std::nullopt);
  EXPECT_FALSE(fs::exists(gate_file(folder)));
  EXPECT_FALSE(fs::exists(gate_tensors(folder)));
}

TEST_F(OperationsTest, ARollbackThatCannotBeWholeChangesNothing) {
  install("legal", "1.1.0");
  select("legal", "1.1.0");
  const StateDigests last = present_state(folder);
  fs::rename(folder / "experts" / "legal" / "1.0.0", folder / "away");
  expect_error([&] { rollback(operation(), 2); }, "E_REG_MISSING", "legal 1.0.0");
  fs::rename(folder / "away", folder / "experts" / "legal" / "1.0.0");
  expect_error([&] { rollback(operation(), 9); }, "E_CONFIG", "there is no change 9");
  const std::string lock = read_history(folder).at(1).before.at("registry.lock.toml");
  write(object_file(folder, lock), "damaged");
  expect_error([&] { rollback(operation(), 2); }, "E_REG_HISTORY", "damaged");
  EXPECT_EQ(present_state(folder), last);
}

TEST_F(OperationsTest, ARegistryThatCannotBeReadIsRolledBack) {
  enable(operation(), "news", false);  // change 2
  write(folder / "registry.toml", "schema = [");
  CollectingLog log{Log()};
  Operation noisy = operation();
  noisy.log = log.log();
  EXPECT_EQ(rollback(noisy, 2).change, 3);
  EXPECT_EQ(text(), kRegistry);
  EXPECT_THAT(log.texts(), testing::Contains(HasSubstr("edited by hand since change 2")));
  fs::remove(folder / "registry.toml");
  EXPECT_EQ(rollback(operation(), 2).change, 4);
  EXPECT_EQ(text(), kRegistry);
}

// What a person wrote goes with a rollback to before it, and that is said.
TEST_F(OperationsTest, ARollbackNamesTheTablesThatItChanges) {
  const auto warnings = [&](int64_t change) {
    CollectingLog log{Log()};
    Operation noisy = operation();
    noisy.log = log.log();
    rollback(noisy, change);
    return log.texts();
  };
  enable(operation(), "news", false);  // change 2
  EXPECT_THAT(warnings(2), testing::Not(testing::Contains(HasSubstr("say something else"))))
      << "an entry is what was asked for";
  write(folder / "registry.toml", text() + "\n[revoked]\npackages = [\"" + std::string(64, 'a') +
                                      "\"]\n\n[policy]\nconformance = 0\n");
  enable(operation(), "news", false);  // change 4
  const std::vector<std::string> said = warnings(2);
  EXPECT_THAT(said, testing::Contains(HasSubstr("[policy], [revoked] say something else")));
  EXPECT_THAT(said, testing::Contains(HasSubstr("counts again: 0 keys, 1 packages")));
}

TEST_F(OperationsTest, WhatAnotherNameNeedsIsNoGarbage) {
  const std::string sha256 = open_package(folder / "experts" / "legal" / "1.0.0").manifest_sha256;
  fs::create_directories(folder / "experts" / "twin");
  fs::copy(folder / "experts" / "legal" / "1.0.0", folder / "experts" / "twin" / "1.0.0",
           fs::copy_options::recursive);
  write(held_out_file(folder, sha256), "logits");
  remove_expert(operation(), "legal");
  for (int n = 1; n <= 4; ++n) set_gate("schema = 1\n# " + std::to_string(n) + "\n");
  EXPECT_THAT(collect_garbage(operation()).packages, ElementsAre("legal 1.0.0"));
  EXPECT_TRUE(fs::exists(held_out_file(folder, sha256)));
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

TEST_F(OperationsTest, WhatWasTrainedHereIsKnownAfterARollback) {
  const std::string digest(64, 'a');
  Lock lock = read_lock(folder);
  lock.made_here.insert(digest);
  {
    const FileLock held = lock_registry(folder, Log());
    Change change(folder, held, Log());
    change.put("registry.lock.toml", lock_text(lock));
    change.commit({"moecollab train-expert", ""});
  }
  rollback(operation(), std::nullopt);
  EXPECT_FALSE(read_lock(folder).made_here.contains(digest));
  EXPECT_TRUE(was_made_here(folder, digest));
  EXPECT_FALSE(was_made_here(folder, std::string(64, 'b')));
}

TEST_F(OperationsTest, GarbageIsWhatThreeGatesDoNotNeed) {
  for (int n = 1; n <= 3; ++n) set_gate("schema = 1\n# " + std::to_string(n) + "\n");  // 2 to 4
  install("legal", "1.1.0");
  install("legal", "1.2.0");
  select("legal", "1.1.0");  // 5
  EXPECT_TRUE(collect_garbage(operation()).packages.empty()) << "the lock before refers to it";
  for (int n = 4; n <= 6; ++n) set_gate("schema = 1\n# " + std::to_string(n) + "\n");  // 6 to 8
  const Garbage dry = collect_garbage(operation(true));
  EXPECT_TRUE(fs::exists(folder / "experts" / "legal" / "1.0.0"));
  const Garbage garbage = collect_garbage(operation());
  EXPECT_EQ(garbage.packages, dry.packages);
  EXPECT_THAT(garbage.packages, ElementsAre("legal 1.0.0"));
  EXPECT_EQ(garbage.contents, 6) << "gate.toml and tensors of the gates 1 to 3";
  EXPECT_GT(garbage.bytes, 1000u);
  EXPECT_EQ(garbage.oldest, 7) << "gates 4, 5 and 6";
  EXPECT_FALSE(fs::exists(folder / "experts" / "legal" / "1.0.0"));
  EXPECT_TRUE(fs::exists(folder / "experts" / "legal" / "1.2.0")) << "it was never selected";
  rollback(operation(), 7);
  EXPECT_EQ(*read_state(folder).gate, "schema = 1\n# 4\n");
  expect_error([&] { rollback(operation(), 3); }, "E_REG_HISTORY", "no longer kept");
  const std::vector<HistoryEntry> entries = read_history(folder);
  EXPECT_EQ(entries.size(), 9u) << "entries stay";
  EXPECT_FALSE(can_roll_back(folder, entries.at(2)));
  EXPECT_TRUE(can_roll_back(folder, entries.at(6)));
}

}  // namespace
}  // namespace moecollab::registry
