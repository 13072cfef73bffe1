// Changes of a registry's state: one step each, and what readers see meanwhile.
#include "registry/change.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "registry/layout.h"
#include "registry/lock.h"
#include "registry/registry_file.h"
#include "registry/registry_state.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const ChangeNote kNote{"moecollab experts pin news 1.0.0", "it was better"};

struct ChangeTest : testing::Test {
  ChangeTest() {
    write(folder / "registry.toml", "schema = 1\n");
    write(folder / "gate/gate.toml", "old gate");
    write(folder / "gate/gate.safetensors", "old tensors");
  }
  // Makes the change that `fill` puts together.
  template <typename Fill>
  int64_t commit(Fill fill) {
    const FileLock lock = lock_registry(folder, Log());
    Change change(folder, lock, Log());
    fill(change);
    return change.commit(kNote);
  }
  std::string content(const std::string& file) { return read_file(folder / file, "E_TEST"); }

  TemporaryFolder root;
  fs::path folder = root.path();
};

TEST_F(ChangeTest, ReplacesAddsAndRemovesStateFilesAsOneEntry) {
  const StateDigests before = present_state(folder);
  EXPECT_EQ(commit([&](Change& change) {
              write(gate_file(change.staging()), "new gate");
              change.put("registry.lock.toml", "new lock");
              change.remove("gate/gate.safetensors");
            }),
            1);
  EXPECT_EQ(content("gate/gate.toml"), "new gate");
  EXPECT_EQ(content("registry.lock.toml"), "new lock");
  EXPECT_FALSE(fs::exists(folder / "gate/gate.safetensors"));
  const std::vector<HistoryEntry> history = read_history(folder);
  ASSERT_EQ(history.size(), 1u);
  EXPECT_EQ(history[0].number, 1);
  EXPECT_EQ(history[0].note.command, kNote.command);
  EXPECT_EQ(history[0].note.reason, kNote.reason);
  EXPECT_THAT(history[0].time, testing::MatchesRegex("20..-..-..T..:..:..Z"));
  EXPECT_FALSE(history[0].who.empty());
  EXPECT_EQ(history[0].before, before);
  EXPECT_EQ(history[0].after, present_state(folder));
  EXPECT_THAT(changed_files(history[0].before, history[0].after),
              ElementsAre("registry.lock.toml", "gate/gate.toml", "gate/gate.safetensors"));
  EXPECT_EQ(read_object(folder, before.at("gate/gate.safetensors")), "old tensors");
  for (const auto& entry : fs::directory_iterator(folder / "history"))
    EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("changes", "objects"));
}

TEST_F(ChangeTest, WhatDiffersInNothingIsNoChange) {
  EXPECT_EQ(commit([](Change& change) { change.put("gate/gate.toml", "old gate"); }), 0);
  EXPECT_TRUE(read_history(folder).empty());
}

TEST_F(ChangeTest, WhatIsNotCommittedLeavesNoTrace) {
  const StateDigests before = present_state(folder);
  {
    const FileLock lock = lock_registry(folder, Log());
    Change change(folder, lock, Log());
    change.put("gate/gate.toml", "new gate");
  }
  EXPECT_EQ(present_state(folder), before);
  EXPECT_TRUE(fs::is_empty(folder / "history" / "changes"));
  EXPECT_TRUE(fs::is_empty(folder / "history" / "objects"));
}

TEST_F(ChangeTest, ALinkedRegistryFileStaysALink) {
  fs::rename(folder / "registry.toml", folder / "elsewhere.toml");
  fs::create_symlink("elsewhere.toml", folder / "registry.toml");
  commit([](Change& change) { change.put("registry.toml", "schema = 1\n# edited\n"); });
  EXPECT_TRUE(fs::is_symlink(folder / "registry.toml"));
  EXPECT_EQ(content("elsewhere.toml"), "schema = 1\n# edited\n");
}

TEST_F(ChangeTest, WhatIsEditedMeanwhileIsNotOverwritten) {
  expect_error(
      [&] {
        commit([&](Change& change) {
          change.put("gate/gate.toml", "new gate");
          write(folder / "registry.toml", "schema = 1\n# by hand\n");
        });
      },
      "E_REG_EDITED", "registry.toml was edited");
  EXPECT_EQ(content("registry.toml"), "schema = 1\n# by hand\n");
  EXPECT_EQ(content("gate/gate.toml"), "old gate");
  EXPECT_TRUE(read_history(folder).empty());
}

// A file that cannot be replaced is found before the change is decided, not after.
TEST_F(ChangeTest, WhatCannotBeCarriedOutIsNotDecided) {
  fs::rename(folder / "gate/gate.toml", folder / "elsewhere.toml");
  fs::create_symlink("../elsewhere.toml", folder / "gate/gate.toml");
  expect_error(
      [&] {
        commit([](Change& change) {
          change.put("registry.toml", "schema = 1\n# new\n");
          change.put("gate/gate.toml", "new gate");
        });
      },
      "E_WRITE", "gate.toml");
  EXPECT_FALSE(fs::exists(pending_file(folder)));
  EXPECT_EQ(content("registry.toml"), "schema = 1\n");
  EXPECT_EQ(commit([](Change& change) { change.put("registry.toml", "schema = 1\n# new\n"); }), 1);
}

TEST_F(ChangeTest, ADamagedContentIsWrittenAgain) {
  commit([](Change& change) { change.put("gate/gate.toml", "new gate"); });
  write(object_file(folder, sha256_hex("old gate")), "damaged");
  EXPECT_EQ(commit([](Change& change) { change.put("gate/gate.toml", "old gate"); }), 2);
  EXPECT_EQ(content("gate/gate.toml"), "old gate");
  EXPECT_EQ(read_object(folder, sha256_hex("old gate")), "old gate");
}

// A change of three files, decided, of which `done` are in place when its process is killed.
struct DecidedChange : ChangeTest {
  void decide(const std::vector<std::string>& done) {
    write(folder / "registry.lock.toml", "schema = 1\n");
    const std::vector<std::string> files = {"registry.toml", "registry.lock.toml",
                                            "gate/gate.toml"};
    HistoryEntry entry{1, "2026-11-29T18:30:00Z", "somebody", kNote, present_state(folder), {}};
    entry.after = entry.before;
    for (const std::string& file : files) {
      entry.after[file] = sha256_hex(next(file));
      write(object_file(folder, entry.after[file]), next(file));
      if (std::ranges::find(done, file) != done.end()) write(folder / file, next(file));
    }
    write(pending_file(folder), to_text(entry.to_json()));
  }
  static std::string next(const std::string& file) {
    return file == "gate/gate.toml" ? "new gate" : "schema = 1\n# new\n";
  }
};

TEST_F(DecidedChange, CountsForReadersHoweverFarItCame) {
  for (const std::vector<std::string>& done :
       {std::vector<std::string>{}, {"registry.toml"}, {"gate/gate.toml", "registry.lock.toml"}}) {
    write(folder / "registry.toml", "schema = 1\n");
    write(folder / "gate/gate.toml", "old gate");
    decide(done);
    const RegistryState state = read_state(folder);
    EXPECT_EQ(state.registry, next("registry.toml"));
    EXPECT_EQ(state.lock, next("registry.lock.toml"));
    EXPECT_EQ(state.gate, next("gate/gate.toml"));
    EXPECT_EQ(read_state_file(folder, "gate/gate.toml"), next("gate/gate.toml"));
    EXPECT_NO_THROW(read_registry(folder));
  }
}

TEST_F(DecidedChange, IsFinishedByTheNextOneWhichSaysSo) {
  decide({"registry.lock.toml"});
  CollectingLog log{Log()};
  {
    const FileLock lock = lock_registry(folder, Log());
    const Change next(folder, lock, log.log());
  }
  EXPECT_THAT(log.texts(), ElementsAre(HasSubstr("change 1 of another process")));
  EXPECT_EQ(content("gate/gate.toml"), "new gate");
  EXPECT_EQ(content("registry.toml"), next("registry.toml"));
  EXPECT_FALSE(fs::exists(pending_file(folder)));
  EXPECT_EQ(read_history(folder).at(0).note.command, kNote.command);
}

TEST_F(DecidedChange, WhatAPersonEditedSinceStays) {
  decide({});
  write(folder / "registry.toml", "schema = 1\n# by hand\n");
  EXPECT_EQ(read_state(folder).registry, "schema = 1\n# by hand\n");
  EXPECT_EQ(read_state(folder).gate, "new gate");
  CollectingLog log{Log()};
  {
    const FileLock lock = lock_registry(folder, Log());
    const Change next(folder, lock, log.log());
  }
  EXPECT_EQ(content("registry.toml"), "schema = 1\n# by hand\n");
  EXPECT_EQ(content("gate/gate.toml"), "new gate");
  EXPECT_THAT(log.texts().at(0), HasSubstr("was edited since change 1"));
}

TEST_F(DecidedChange, WhoseContentsAreGoneIsRefused) {
  decide({});
  fs::remove_all(folder / "history" / "objects");
  expect_error([&] { read_state(folder); }, "E_REG_HISTORY", "no longer kept");
}

// Readers never see a gate of one change beside a lock of another.
TEST_F(ChangeTest, ReadersBesideAWriterSeeOneStateEach) {
  const auto text = [](int n) { return "schema = 1\n# " + std::to_string(n) + "\n"; };
  const auto put_all = [&](int n) {
    commit([&](Change& change) {
      for (const char* file : {"registry.toml", "registry.lock.toml", "gate/gate.toml"})
        change.put(file, text(n));
    });
  };
  put_all(0);
  std::atomic<bool> done = false;
  std::atomic<int> states = 0, torn = 0;
  std::thread reader([&] {
    while (!done) {
      const RegistryState state = read_state(folder);
      ++states;
      if (state.lock != state.registry || state.gate != state.registry) ++torn;
    }
  });
  for (int n = 1; n <= 60; ++n) put_all(n);
  done = true;
  reader.join();
  EXPECT_GT(states, 60);
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(newest_change(folder), 61);
}

TEST_F(ChangeTest, EntriesThatWereDamagedAreRefusedWithTheirFile) {
  commit([](Change& change) { change.put("gate/gate.toml", "new gate"); });
  const fs::path file = change_file(folder, 1);
  const std::string good = read_file(file, "E_TEST");
  for (size_t at = 0; at < good.size(); at += 7) {
    std::string bad = good.substr(0, at);
    write(file, bad);
    expect_error([&] { read_history(folder); }, "E_REG_HISTORY", "000001.json");
  }
  const auto refused = [&](const std::string& from, const std::string& to,
                           const std::string& part) {
    write(file, replaced(good, from, to));
    expect_error([&] { read_history(folder); }, "E_REG_HISTORY", part);
  };
  refused("\"number\": 1", "\"number\": 2", "it says that it is change 2");
  refused("\"number\": 1", "\"number\": \"1\"", "`number`");
  refused("\"before\": {", "\"before\": {\"../x\": \"\",", "../x is no file of a registry's state");
  refused("\"who\": ", "\"whom\": ", "`who`");
}

}  // namespace
}  // namespace moecollab::registry
