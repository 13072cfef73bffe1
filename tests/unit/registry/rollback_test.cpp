// States that are put back, and what nobody needs.
#include "unit/registry/operations_fixture.h"

namespace moecollab::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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

TEST_F(OperationsTest, ARollbackWithoutANumberPassesOverWhatOnlyRecords) {
  remove_expert(operation(), "news");  // change 2
  const StateDigests before = read_history(folder).back().before;
  {
    const FileLock held = lock_registry(folder, Log());
    Change change(folder, held, Log());
    Lock lock = read_lock(folder);
    lock.entries.at(0).state = State::kReady;
    change.put("registry.lock.toml", lock_text(lock));
    EXPECT_EQ(change.commit({"moecollab experts verify", "", /*passive=*/true}), 3);
  }
  EXPECT_TRUE(read_history(folder).back().note.passive);
  const RollbackResult result = rollback(operation(), std::nullopt);
  EXPECT_EQ(result.before_change, 2);
  EXPECT_EQ(present_state(folder), before);
  EXPECT_EQ(rollback(operation(), 3).before_change, 3) << "by its number it can be taken back";
}

TEST_F(OperationsTest, AnEditThatAPassiveEntryTookIsWarnedAbout) {
  remove_expert(operation(), "news");
  write(folder / "registry.toml", text() + "# mine\n");
  {
    const FileLock held = lock_registry(folder, Log());
    Change change(folder, held, Log());
    Lock lock = read_lock(folder);
    lock.entries.at(0).state = State::kReady;
    change.put("registry.lock.toml", lock_text(lock));
    change.commit({"moecollab experts verify", "", /*passive=*/true});
  }
  CollectingLog said{Log()};
  Operation operation = this->operation();
  operation.log = said.log();
  rollback(operation, std::nullopt);
  EXPECT_THAT(said.texts(), testing::Contains(HasSubstr("registry.toml was edited by hand")));
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
