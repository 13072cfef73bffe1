// A registry that is put back as it was.
#include "contribution/registry_snapshot.h"

#include <map>

#include "base/error.h"
#include "unit/registry/fixtures.h"

namespace moecollab::contribution {
namespace {

using registry::write;

const registry::ChangeNote kNote{"moecollab train --rounds 2", ""};

struct RegistrySnapshotTest : ::testing::Test {
  RegistrySnapshotTest() {
    for (const char* file :
         {"registry.lock.toml", "gate/gate.toml", "history/legal.jsonl", "history/news.jsonl",
          "experts/legal/1.0.0/expert.toml", "experts/news/1.0.0/expert.toml"})
      write(root.path() / file, std::string("old ") + file);
  }
  // Path -> content of every file but the lock's own and those of history/ that record changes.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(root.path())) {
      const std::string name = fs::relative(entry.path(), root.path()).string();
      const bool record = name == ".lock" || name.starts_with("history/changes") ||
                          name.starts_with("history/objects");
      if (entry.is_regular_file() && !record) found[name] = read_file(entry.path(), "E");
    }
    return found;
  }
  void change(const std::string& expert) {
    write(root.path() / "history" / (expert + ".jsonl"), "new");
    write(root.path() / "experts" / expert / "1.0.1" / "expert.toml", "new");
  }

  TemporaryFolder root, kept;
};

TEST_F(RegistrySnapshotTest, PutsBackGateLockAndTheExpertsThatWereChanged) {
  const auto before = files();
  RegistrySnapshot snapshot = RegistrySnapshot::take(root.path(), kept.path() / "before", Log());
  write(root.path() / "gate" / "gate.toml", "new");
  write(root.path() / "gate" / "replay.safetensors", "new");
  fs::remove(root.path() / "registry.lock.toml");
  snapshot.will_change("legal");
  change("legal");
  snapshot.restore(kNote);
  EXPECT_EQ(files(), before);
}

// Somebody else trained it meanwhile.
TEST_F(RegistrySnapshotTest, LeavesOtherExpertsAsTheyAre) {
  RegistrySnapshot snapshot = RegistrySnapshot::take(root.path(), kept.path() / "before", Log());
  snapshot.will_change("legal");
  change("news");
  snapshot.restore(kNote);
  EXPECT_EQ(files().at("history/news.jsonl"), "new");
  EXPECT_EQ(files().at("experts/news/1.0.1/expert.toml"), "new");
}

// The process that took it was killed.
TEST_F(RegistrySnapshotTest, IsOpenedAgainAndKnowsWhatWasChanged) {
  const auto before = files();
  {
    RegistrySnapshot snapshot = RegistrySnapshot::take(root.path(), kept.path() / "before", Log());
    snapshot.will_change("legal");
    change("legal");
    write(root.path() / "gate" / "gate.toml", "new");
  }
  RegistrySnapshot again = RegistrySnapshot::open(root.path(), kept.path() / "before", Log());
  EXPECT_EQ(again.changed(), std::set<std::string>{"legal"});
  EXPECT_EQ(again.newer_versions("legal"),
            std::vector<fs::path>{root.path() / "experts" / "legal" / "1.0.1"});
  EXPECT_TRUE(again.newer_versions("news").empty());
  again.restore(kNote);
  EXPECT_EQ(files(), before);
  // What is made after that is somebody else's.
  change("legal");
  RegistrySnapshot::open(root.path(), kept.path() / "before", Log()).restore(kNote);
  EXPECT_EQ(files().at("experts/legal/1.0.1/expert.toml"), "new");
}

TEST_F(RegistrySnapshotTest, AHalfOneIsRefused) {
  RegistrySnapshot::take(root.path(), kept.path() / "before", Log());
  fs::remove(kept.path() / "before" / "versions.json");
  try {
    RegistrySnapshot::open(root.path(), kept.path() / "before", Log());
    ADD_FAILURE() << "it is not whole";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_CKPT");
  }
}

}  // namespace
}  // namespace moecollab::contribution
