// What is lost or damaged of a registry's state, and comes back from the history.
#include "registry/damaged_state.h"

#include "registry/transfer.h"
#include "unit/registry/operations_fixture.h"

namespace moecollab::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kTensors = "gate/gate.safetensors";

struct DamagedStateTest : OperationsTest {
  DamagedStateTest() { set_gate("schema = 1\n"); }
  std::string read(const char* file) const { return read_file(folder / file, "E_TEST"); }
  std::string code_of_export() const {
    try {
      export_registry(folder, root.path() / "pool.moecreg");
    } catch (const Error& error) {
      return error.code();
    }
    return "exported";
  }
};

TEST_F(DamagedStateTest, ALockThatWentIsReadFromTheHistoryUntilAChangePutsItBack) {
  const std::string lock = read("registry.lock.toml");
  EXPECT_FALSE(lost_lock(folder));
  fs::remove(folder / "registry.lock.toml");
  ASSERT_TRUE(lost_lock(folder));
  EXPECT_THAT(lost_lock(folder)->what, HasSubstr("the copy that the history has counts"));
  EXPECT_EQ(read_state(folder).lock, lock);
  EXPECT_THAT(lock_differences(folder), ElementsAre(HasSubstr("registry.lock.toml")));
  EXPECT_EQ(code_of_export(), "E_REG_IO");
  enable(operation(), "news", true);
  EXPECT_EQ(read("registry.lock.toml"), lock);
  EXPECT_FALSE(lost_lock(folder));
}

TEST_F(DamagedStateTest, WithoutItsContentALostLockIsOne) {
  const std::string sha256 = present_state(folder).at("registry.lock.toml");
  fs::remove(folder / "registry.lock.toml");
  fs::remove(object_file(folder, sha256));
  ASSERT_TRUE(lost_lock(folder));
  EXPECT_THAT(lost_lock(folder)->what, HasSubstr("the highest version"));
  EXPECT_EQ(read_state(folder).lock, std::nullopt);
  fs::remove_all(folder / "history");
  EXPECT_FALSE(lost_lock(folder)) << "no change wrote one";
}

TEST_F(DamagedStateTest, DamagedTensorsAreNoStateThatAChangeRecords) {
  const std::string good = read(kTensors);
  write(folder / kTensors, good.substr(0, 3));
  EXPECT_THAT(damaged_files(folder), ElementsAre(kTensors));
  EXPECT_EQ(code_of_export(), "E_REG_IO");
  EXPECT_EQ(read(kTensors), good.substr(0, 3)) << "looking changes nothing";
  pin(operation(), "legal", "1.0.0", false);
  EXPECT_EQ(read(kTensors), good);
  EXPECT_THAT(damaged_files(folder), IsEmpty());
  EXPECT_EQ(code_of_export(), "exported");
}

TEST_F(DamagedStateTest, LockPutsBackWhatIsMissingOfTheGate) {
  const std::string good = read(kTensors);
  fs::remove(folder / kTensors);
  EXPECT_EQ(write_lock_again(operation()), 0);
  EXPECT_EQ(read(kTensors), good);
  write(folder / "gate/gate.toml", "schema = ");
  EXPECT_THAT(damaged_files(folder), ElementsAre("gate/gate.toml"));
  EXPECT_EQ(write_lock_again(operation()), 0);
  EXPECT_EQ(read("gate/gate.toml"), "schema = 1\n");
}

TEST_F(DamagedStateTest, AGateOfWhichEverythingIsDamagedComesBackAsOne) {
  const std::string good = read(kTensors);
  write(folder / "gate/gate.toml", "");
  write(folder / kTensors, "bad");
  EXPECT_THAT(damaged_files(folder), ElementsAre("gate/gate.toml", kTensors));
  EXPECT_EQ(write_lock_again(operation()), 0);
  EXPECT_EQ(read("gate/gate.toml"), "schema = 1\n");
  EXPECT_EQ(read(kTensors), good);
  EXPECT_EQ(read("gate/gate.safetensors.damaged"), "bad") << "somebody may want it";
}

TEST_F(DamagedStateTest, ALockThatWasCutComesBack) {
  const std::string lock = read("registry.lock.toml");
  write(folder / "registry.lock.toml", lock.substr(0, lock.size() / 2) + "\"");
  EXPECT_THAT(damaged_files(folder), ElementsAre("registry.lock.toml"));
  EXPECT_FALSE(lost_lock(folder));
  EXPECT_EQ(write_lock_again(operation()), 0);
  EXPECT_EQ(read("registry.lock.toml"), lock);
}

TEST_F(DamagedStateTest, WhatOnlyGrowthReadsMayBeRemoved) {
  {
    const FileLock held = lock_registry(folder, Log());
    Change change(folder, held, Log());
    change.put("gate/replay.safetensors", "texts");
    change.commit({"moecollab train-gate --keep-replay 20", ""});
  }
  write(folder / "gate/replay.safetensors", "tex");
  EXPECT_THAT(damaged_files(folder), ElementsAre("gate/replay.safetensors"));
  fs::remove(folder / "gate/replay.safetensors");
  EXPECT_THAT(damaged_files(folder), IsEmpty());
  EXPECT_EQ(code_of_export(), "exported");
  write_lock_again(operation());
  EXPECT_FALSE(fs::exists(folder / "gate/replay.safetensors"));
}

TEST_F(DamagedStateTest, WhatAPersonWroteOrRemovedStays) {
  write(folder / "gate/gate.toml", "schema = 1\n# another gate\n");
  write(folder / kTensors, "its tensors");
  write(folder / "registry.toml", text() + "# mine\n");
  EXPECT_THAT(damaged_files(folder), IsEmpty());
  fs::remove_all(folder / "gate");
  EXPECT_THAT(damaged_files(folder), IsEmpty());
}

TEST_F(DamagedStateTest, AHistoryThatCannotBeReadRestoresNothing) {
  fs::remove(folder / kTensors);
  write(change_file(folder, newest_change(folder)), "{");
  EXPECT_THAT(damaged_files(folder), IsEmpty());
}

}  // namespace
}  // namespace moecollab::registry
