#include "worker/confinement.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <map>

#include "base/files.h"

namespace moecollab::worker {
namespace {

// Whether an attempt succeeds, tried in a process of its own after `first`.
bool succeeds(const std::function<void()>& first, const std::function<bool()>& attempt) {
  const pid_t child = ::fork();
  if (child == 0) {
    first();
    ::_exit(attempt() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool ends_well(pid_t child) {
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

bool starts_a_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  return ends_well(child);
}

bool starts_a_thread() {
  pthread_t thread;
  return ::pthread_create(
             &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) == 0 &&
         ::pthread_join(thread, nullptr) == 0;
}

struct ConfinementTest : ::testing::Test {
  ConfinementTest() {
    write_file_atomic(folder.path() / "file", "kept");
    write_file_atomic(folder.path() / "other", "kept");
  }
  std::string path(const char* name) const { return (folder.path() / name).string(); }

  // What a library may try; each succeeds where nothing is confined.
  std::map<std::string, std::function<bool()>> harm() const {
    return {
        {"write", [this] { return ::open(path("file").c_str(), O_WRONLY) >= 0; }},
        {"empty", [this] { return ::open(path("file").c_str(), O_RDONLY | O_TRUNC) >= 0; }},
        {"make", [this] { return ::open(path("new").c_str(), O_WRONLY | O_CREAT, 0644) >= 0; }},
        {"make a folder", [this] { return ::mkdir(path("folder").c_str(), 0755) == 0; }},
        {"rename",
         [this] {
           return ::rename(path("file").c_str(), path("moved").c_str()) == 0 &&
                  ::rename(path("moved").c_str(), path("file").c_str()) == 0;
         }},
        {"remove", [this] { return ::unlink(path("other").c_str()) == 0; }},
        {"chmod", [this] { return ::chmod(path("file").c_str(), 0600) == 0; }},
        {"truncate", [this] { return ::truncate(path("file").c_str(), 4) == 0; }},
        {"connect", [] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0; }},
        {"signal", [] { return ::kill(::getppid(), 0) == 0; }},
        {"trace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }},
    };
  }
  static std::map<std::string, std::function<bool()>> work(const std::string& file) {
    return {{"read", [file] { return ::open(file.c_str(), O_RDONLY) >= 0; }},
            {"thread", &starts_a_thread},
            {"signal itself", [] { return ::kill(::getpid(), 0) == 0; }},
            {"memory file", [] { return ::write(::memfd_create("m", 0), "x", 1) == 1; }}};
  }

  TemporaryFolder folder;
};

TEST_F(ConfinementTest, WhatReachesOthersIsRefusedAndNothingElse) {
  if (confinement_level() != SandboxLevel::kFull)
    GTEST_SKIP() << "this kernel confines to level " << name(confinement_level());
  const auto confined = [] { confine(); };
  for (const auto& [what, attempt] : harm()) EXPECT_FALSE(succeeds(confined, attempt)) << what;
  for (const auto& [what, attempt] : work(path("file")))
    EXPECT_TRUE(succeeds(confined, attempt)) << what;
  EXPECT_TRUE(succeeds(confined, &starts_a_process));
  EXPECT_EQ(read_file(path("file"), "E_TEST"), "kept");
  for (const auto& [what, attempt] : harm())
    EXPECT_TRUE(succeeds([] {}, attempt)) << what << ", not confined";
}

TEST_F(ConfinementTest, ThenNoProcessIsStarted) {
  if (confinement_level() == SandboxLevel::kNone) GTEST_SKIP() << "no filter of system calls";
  const auto closed = [] {
    confine();
    forbid_processes();
  };
  EXPECT_FALSE(succeeds(closed, &starts_a_process));
  EXPECT_FALSE(succeeds(closed, [] {
    ::execl("/bin/true", "true", static_cast<char*>(nullptr));
    return false;
  }));
  EXPECT_TRUE(succeeds([] {},
                       [] {
                         ::execl("/bin/true", "true", static_cast<char*>(nullptr));
                         return false;
                       }));
  EXPECT_TRUE(succeeds(closed, &starts_a_thread));
}

}  // namespace
}  // namespace moecollab::worker
