#include "registry/lock.h"

#include <algorithm>
#include <string>

#include "registry/quarantine.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::HasSubstr;
using testing::Not;

LockEntry entry(const std::string& name) {
  LockEntry result;
  result.name = name;
  result.id = "org.example." + name;
  result.version = Version::parse("1.2.3-rc.1");
  result.manifest_sha256 = std::string(64, 'a');
  result.library_sha256 = std::string(64, 'b');
  result.state = State::kReady;
  result.probe = {std::string(64, 'a'), kFingerprint, "2.15.0"};
  return result;
}

TEST(Lock, ThereIsNoneAtFirst) {
  const TemporaryFolder folder;
  EXPECT_TRUE(read_lock(folder.path()).entries.empty());
  EXPECT_EQ(read_lock(folder.path()).find("x"), nullptr);
}

TEST(Lock, WhatIsWrittenIsReadSortedByName) {
  const TemporaryFolder folder;
  LockEntry refused = entry("a");
  refused.state = State::kRefused;
  refused.code = "E_ABI";
  refused.reason = "needs \"1.0\", host has 0.9";
  refused.library_sha256.clear();
  refused.probe = {};
  Lock lock{{entry("b"), refused, entry("c")}};
  write_lock(folder.path(), lock);
  const Lock read = read_lock(folder.path());
  EXPECT_THAT(read.entries, testing::ElementsAre(refused, entry("b"), entry("c")));
  ASSERT_NE(read.find("b"), nullptr);
  EXPECT_EQ(*read.find("b"), entry("b"));

  const fs::path path = folder.path() / "registry.lock.toml";
  const std::string bytes = read_file(path, "E_REG_IO");
  std::reverse(lock.entries.begin(), lock.entries.end());
  write_lock(folder.path(), lock);
  EXPECT_EQ(read_file(path, "E_REG_IO"), bytes);
  write_lock(folder.path(), {});
  EXPECT_TRUE(read_lock(folder.path()).entries.empty());
}

TEST(Lock, EveryStateHasAWord) {
  for (int i = 0; i <= static_cast<int>(State::kQuarantined); ++i) {
    const auto state = static_cast<State>(i);
    EXPECT_EQ(parse_state(state_name(state)), state);
  }
  EXPECT_EQ(state_name(State::kManifestOk), "manifest ok");
  EXPECT_EQ(state_name(State::kUnrouted), "unrouted");
  EXPECT_EQ(parse_state("lost"), std::nullopt);
}

TEST(Lock, ReasonsOfStrangersAreEscaped) {
  const TemporaryFolder folder;
  LockEntry bad = entry("a");
  bad.reason = "\x1b[31m\n\xFF" + std::string(5000, 'x');
  write_lock(folder.path(), {{bad}});
  const std::string reason = read_lock(folder.path()).entries.at(0).reason;
  EXPECT_THAT(reason, testing::StartsWith("\\x1b[31m\\x0a\\xff"));
  EXPECT_LT(reason.size(), 2100u);
}

TEST(Lock, MayBeLargerThanARegistry) {
  const TemporaryFolder folder;
  Lock lock;
  for (int i = 0; i < 1000; ++i)
    lock.entries.push_back(entry(std::string("e").append(std::to_string(i))));
  write_lock(folder.path(), lock);
  EXPECT_GT(fs::file_size(folder.path() / "registry.lock.toml"), 64u * 1024);
  EXPECT_EQ(read_lock(folder.path()).entries.size(), 1000u);
}

TEST(Lock, RefusesWhatItDidNotWrite) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "registry.lock.toml";
  write_lock(folder.path(), {{entry("a"), entry("b")}});
  const std::string good = read_file(path, "E_REG_IO");
  const auto refused = [&](const std::string& text, const std::string& code,
                           const std::string& part) {
    write(path, text);
    expect_error([&] { read_lock(folder.path()); }, code, part);
  };
  refused("schema = 3\n", "E_REG_SCHEMA", "schema");
  refused("schema = 1\n[[experts]]\n", "E_REG_SCHEMA", "did you mean `expert`?");
  refused(replaced(good, "name = \"b\"", "name = \"a\""), "E_REG_SCHEMA", "stands twice");
  refused(replaced(good, "name = \"b\"", "name = \"b\"\nstatus = 1"), "E_REG_SCHEMA",
          "did you mean `state`?");
  refused("schema = 1\n[[expert]]\n[[[", "E_REG_SYNTAX", ":3:");
  refused(std::string("\0", 1), "E_REG_BYTES", "0x00");
  refused(std::string(kMaxLock + 1, '#'), "E_REG_SIZE", "8388608");
  std::string other_state = good;
  other_state.replace(other_state.find("\"ready\""), 7, "\"steady\"");
  refused(other_state, "E_REG_SCHEMA", "\"steady\" is no state");
  fs::remove(path);
  fs::create_directory(path);
  expect_error([&] { read_lock(folder.path()); }, "E_REG_IO", "it is a folder");
}

TEST(Lock, AFailedWriteSaysWhere) {
  expect_error([] { write_lock("/nonexistent/registry", {}); }, "E_WRITE", "/nonexistent/registry");
}

TEST(Lock, AdmittedPackagesAreKept) {
  Lock lock;
  lock.admitted = {std::string(64, 'a'), std::string(64, 'b')};
  EXPECT_EQ(parse_lock(lock_text(lock), "lock").admitted, lock.admitted);
  EXPECT_EQ(lock.emptied().admitted, lock.admitted);
}

TEST(Lock, QuarantinedPackagesAreKeptAndRefused) {
  const TemporaryFolder folder;
  Lock lock{{entry("a")}};
  lock.quarantined.push_back({std::string(64, '1'), "a", "E_IPC_DIED", "forward", "died of SIGSEGV",
                              "the last line", "2026-11-30T01:02:03Z", "0.3.0"});
  write_lock(folder.path(), lock);
  const Lock read = read_lock(folder.path());
  EXPECT_EQ(read.quarantined, lock.quarantined);
  EXPECT_EQ(read.emptied().quarantined, lock.quarantined);
  EXPECT_TRUE(read.emptied().entries.empty());
  EXPECT_NO_THROW(require_not_quarantined(read, std::string(64, '2')));
  try {
    require_not_quarantined(read, std::string(64, '1'));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_PLUG_QUARANTINE");
    EXPECT_THAT(error.what(), ::testing::HasSubstr("died of SIGSEGV in forward()"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("the last line"));
    EXPECT_THAT(error.hint(), ::testing::HasSubstr("experts quarantine clear a"));
  }
}

}  // namespace
}  // namespace moecollab::registry
