#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file_lock.h"

namespace moecollab {
namespace {

using ::testing::HasSubstr;

struct FilesTest : testing::Test {
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder.path()))
      found.push_back(entry.path().filename().string());
    return found;
  }
  TemporaryFolder folder;
  fs::path file = folder.path() / "report.json";
};

TEST_F(FilesTest, ReplacesAFileAndLeavesNothingBesideIt) {
  write_file_atomic(file, "a long first version");
  write_file_atomic(file, "second");
  EXPECT_EQ(read_file(file, "E_TEST"), "second");
  EXPECT_THAT(names(), testing::ElementsAre("report.json"));
}

TEST_F(FilesTest, TheTargetOfALinkThatLeadsNowhereIsNamed) {
  fs::create_symlink("../blobs/0123", file);
  try {
    read_file(file, "E_TEST");
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("report.json cannot be read: it is a link to ../blobs/0123, "
                          "which does not exist"));
  }
}

TEST_F(FilesTest, AFileOfManyWritersIsThatOfOne) {
  std::vector<std::thread> writers;
  for (const char letter : {'a', 'b', 'c', 'd'}) {
    writers.emplace_back([this, letter] {
      for (int i = 0; i < 20; ++i) write_file_atomic(file, std::string(100'000, letter));
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string bytes = read_file(file, "E_TEST");
  EXPECT_EQ(bytes, std::string(100'000, bytes.front()));
  EXPECT_THAT(names(), testing::ElementsAre("report.json"));
}

// Killed at a random moment of the writing; the folder holds the old file or the new one, and never
// half of one: in the instant between name and rename, the new one whole beside the old.
TEST_F(FilesTest, AKilledWriterLeavesTheOldFileAndNoHalfOfTheNew) {
  const std::string bytes(4 << 20, 'n');
  for (int kill = 0; kill < 20; ++kill) {
    write_file_atomic(file, "old");
    const pid_t writer = ::fork();
    if (writer == 0) {
      write_file_atomic(file, bytes);
      ::_exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200 * kill));
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    const std::string found = read_file(file, "E_TEST");
    EXPECT_TRUE(found == "old" || found == bytes) << kill;
    for (const std::string& name : names()) {
      if (name == "report.json") continue;
      EXPECT_EQ(found, "old") << kill;
      EXPECT_TRUE(read_file(folder.path() / name, "E_TEST") == bytes) << kill << ": " << name;
      fs::remove(folder.path() / name);
    }
  }
}

TEST_F(FilesTest, WhatIsNoFileStaysWhatItIs) {
  const fs::path pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {pipe, fs::path("/dev/null")}) {
    const fs::file_type type = fs::status(path).type();
    try {
      require_writable(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_WRITE");
      EXPECT_THAT(error.what(), testing::HasSubstr("a device, a pipe or a socket"));
    }
    EXPECT_EQ(fs::status(path).type(), type);
  }
  EXPECT_THROW(write_file_atomic(pipe, "x"), Error);
  EXPECT_EQ(fs::status(pipe).type(), fs::file_type::fifo);
}

TEST_F(FilesTest, StandardOutputIsNoFile) {
  for (const auto& write : {+[](const fs::path& path) { require_writable(path); },
                            +[](const fs::path& path) { write_file_atomic(path, "x"); }}) {
    try {
      write("-");
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "- cannot be written: it names standard output");
    }
    EXPECT_FALSE(fs::exists("-"));
  }
}

TEST_F(FilesTest, WhetherAFileCanBeWrittenIsFoundOutWithoutTouchingIt) {
  write_file_atomic(file, "here");
  require_writable(file);
  EXPECT_EQ(read_file(file, "E_TEST"), "here");
  EXPECT_THAT(names(), testing::ElementsAre("report.json"));
  EXPECT_THROW(require_writable(folder.path() / "absent" / "report.json"), Error);
}

TEST_F(FilesTest, WhetherAFolderCanBeFilledIsFoundOutWithoutMakingIt) {
  require_writable_folder(folder.path());
  require_writable_folder(folder.path() / "not" / "there" / "yet");
  EXPECT_THAT(names(), testing::IsEmpty());
  write_file_atomic(file, "a file");
  for (const fs::path& bad : {file, file / "below"}) {
    try {
      require_writable_folder(bad);
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_WRITE");
      EXPECT_THAT(error.what(), HasSubstr("report.json cannot be written: it is not a folder"));
    }
  }
}

TEST_F(FilesTest, MoreSpaceThanThereIsNamesBothNumbers) {
  require_space(folder.path(), 1, "a test");
  try {
    require_space(folder.path(), UINT64_MAX, "expert x");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_WRITE");
    EXPECT_THAT(error.what(), testing::StartsWith("expert x needs 18446744073709551615 bytes in "));
    EXPECT_THAT(error.what(), testing::ContainsRegex("where [0-9]+ are free"));
  }
}

TEST_F(FilesTest, ATemporaryFolderThatIsNotThereIsNamed) {
  const char* before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TMPDIR", "/nowhere", 1);
  try {
    const TemporaryFolder made;
    ADD_FAILURE() << "made";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_WRITE");
    EXPECT_THAT(error.hint(), HasSubstr("TMPDIR"));
  }
  before == nullptr ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", kept.c_str(), 1);
}

TEST_F(FilesTest, AClaimedLockNamesWhoHasIt) {
  const fs::path lock = folder.path() / "lock";
  {
    const FileLock held = FileLock::claim(lock, "wait for it");
    try {
      FileLock::claim(lock, "wait for it");
      FAIL() << "claimed twice";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_LOCK");
      EXPECT_THAT(error.what(), HasSubstr("process " + std::to_string(::getpid())));
      EXPECT_EQ(error.hint(), "wait for it");
    }
  }
  FileLock::claim(lock, "wait for it");  // free again
}

TEST_F(FilesTest, WaitingForALockEndsWhenItIsFree) {
  const fs::path lock = folder.path() / "lock";
  std::atomic<bool> released = false;
  std::thread waiting;
  {
    const FileLock held = FileLock::claim(lock, "");
    waiting = std::thread([&] {
      const FileLock mine = FileLock::wait(lock, Log());
      EXPECT_TRUE(released);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    released = true;
  }
  waiting.join();
}

TEST_F(FilesTest, ALockOnAFileThatWasRemovedIsTakenOnItsSuccessor) {
  const fs::path lock = folder.path() / "lock";
  std::thread waiting;
  {
    const FileLock held = FileLock::wait(lock, Log());
    waiting = std::thread([&] {
      const FileLock mine = FileLock::wait(lock, Log());
      EXPECT_TRUE(fs::exists(lock));
      EXPECT_THROW(FileLock::claim(lock, ""), Error);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    fs::remove(lock);
  }
  waiting.join();
}

}  // namespace
}  // namespace moecollab
