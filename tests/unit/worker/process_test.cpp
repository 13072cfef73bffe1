// Starting, calling and ending an expert's process, and the memory that it shares.
#include "worker/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "unit/worker/plain_client.h"
#include "worker/launch_words.h"
#include "worker/launcher.h"

namespace moecollab::worker {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

fs::path hostile(const std::string& attack) {
  return fs::path(MOECOLLAB_HOSTILE_ZOO) / ("libhostile_" + attack + ".so");
}

TEST(SharedMemory, BlocksDoNotOverlapAndAreUsedAgain) {
  SharedMemory memory(SharedMemory::Writers::kBoth);
  const uint64_t first = memory.allocate(100), second = memory.allocate(1),
                 third = memory.allocate(0);
  EXPECT_EQ(first % 64, 0U);
  EXPECT_EQ(second, first + 128);
  EXPECT_EQ(third, second + 64);
  memory.free(first);
  EXPECT_EQ(memory.allocate(128), first);
  memory.free(second);
  EXPECT_EQ(memory.allocate(65), third + 64) << "the gap is too narrow";
}

TEST(SharedMemory, GrowsInPlaceAndHasAnEnd) {
  SharedMemory memory(SharedMemory::Writers::kBoth);
  const Block small(memory, 8);
  std::memcpy(small.data(), "content", 8);
  const Block large(memory, uint64_t{64} << 20);
  std::memset(large.data(), 1, uint64_t{64} << 20);
  EXPECT_STREQ(small.data(), "content");
  try {
    memory.allocate(uint64_t{1} << 40);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_IPC");
    EXPECT_THAT(error.what(), HasSubstr("1099511627776 more are asked for"));
  }
}

TEST(SharedMemory, WhatTheHostAloneWritesCannotBeWrittenByItsPeer) {
  SharedMemory host(SharedMemory::Writers::kHost);
  const Block block(host, 8);
  std::memcpy(block.data(), "content", 8);
  SharedMemory peer(host.peer_descriptor(), SharedMemory::Writers::kHost);
  EXPECT_STREQ(peer.at(block.offset()), "content");
  EXPECT_DEATH(peer.at(block.offset())[0] = 'X', "");
}

TEST(LaunchWords, ComeBack) {
  const LaunchWords words{17, 99, "/lib/engine.so", {3, "/a folder", 128, true, 384}};
  const LaunchWords back = parse_words(launch_words(words));
  EXPECT_EQ(launch_words(back), launch_words(words));
  EXPECT_EQ(back.arguments.encoder, "/a folder");
  EXPECT_THROW(parse_words({"1"}), std::exception);
}

TEST(Launch, PassesOnHowThreadsWaitAndNothingElse) {
  ::setenv("GOMP_SPINCOUNT", "7", 1);  // the user's own
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = launch("/usr/bin/env", {}, {pipe[0], pipe[1]});
  ::close(pipe[1]);
  ::unsetenv("GOMP_SPINCOUNT");
  std::string printed(1000, '\0');
  printed.resize(static_cast<size_t>(::read(pipe[0], printed.data(), printed.size())));
  ::close(pipe[0]);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(printed, "OMP_WAIT_POLICY=passive\nGOMP_SPINCOUNT=7\n");
}

TEST(ExpertProcess, R31_ItsDeathIsNoticedAtOnce) {
  PlainClient client(hostile("sleeps_at_forward"), ProcessLimits{});
  std::atomic<Clock::time_point> killed{Clock::time_point{}};
  std::thread killer([&] {
    std::this_thread::sleep_for(milliseconds(200));
    killed = Clock::now();
    ::kill(client.process.id(), SIGKILL);
  });
  try {
    client.answers({"a text"});
    ADD_FAILURE() << "it answered";
  } catch (const ProcessEnded& ended) {
    EXPECT_EQ(ended.code(), "E_IPC_DIED");
    EXPECT_EQ(ended.ending().cause, "died of SIGKILL");
  }
  // bench_isolation measures it; here other tests keep the machine busy.
  EXPECT_LT(Clock::now() - killed.load(), milliseconds(1000));
  killer.join();
  EXPECT_FALSE(client.process.is_alive());
  EXPECT_THROW(client.answers({"a text"}), ProcessEnded);
}

TEST(ExpertProcess, R23_AHangEndsAtItsDeadline) {
  ProcessLimits limits;
  limits.call = milliseconds(1000);
  PlainClient client(hostile("loops_at_forward"), limits);
  const Clock::time_point start = Clock::now();
  EXPECT_THROW(client.answers({"a text"}), ProcessEnded);
  EXPECT_GE(Clock::now() - start, milliseconds(1000));
  EXPECT_LT(Clock::now() - start, milliseconds(3000));
}

TEST(ExpertProcess, R29_AnAnswerThatIsNoneEndsIt) {
  PlainClient client(hostile("talks_to_the_host_at_forward"), ProcessLimits{});
  try {
    client.answers({"a text"});
    FAIL();
  } catch (const ProcessEnded& ended) {
    EXPECT_EQ(ended.code(), "E_IPC");
  }
}

// What it wrote first is what the host has, whatever it writes then.
TEST(ExpertProcess, R29_AnswersAreCopied) {
  PlainClient client(hostile("rewrites_its_answers_at_forward"), ProcessLimits{});
  const std::vector<float> answers = client.answers({"a text"});
  const std::vector<float> kept = answers;
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(answers, kept);
}

TEST(ExpertProcess, R26_ThreadsThatItLeavesDoNotDelayItsEnd) {
  auto client =
      std::make_unique<PlainClient>(hostile("rewrites_its_answers_at_forward"), ProcessLimits{});
  client->answers({"a text"});
  const pid_t process = client->process.id();
  const Clock::time_point start = Clock::now();
  client.reset();
  EXPECT_LT(Clock::now() - start, milliseconds(1000));
  EXPECT_EQ(::kill(process, 0), -1);
}

TEST(ExpertProcess, MessagesOfAnExpertAreBounded) {
  CollectingLog said{Log()};
  RunContext context;
  context.log = said.log();
  PlainClient client(hostile("logs_a_lot_at_forward"), ProcessLimits{}, context);
  client.answers({"a text"});
  ASSERT_EQ(said.texts().size(), 101U);
  EXPECT_EQ(said.texts().front(), "expert hostile: nothing");
  EXPECT_THAT(said.texts().back(), HasSubstr("more than 100 messages"));
}

TEST(ExpertProcess, R57_TheLevelOfItsSandboxIsKnownAndCanBeRequired) {
  const SandboxLevel level = granted_sandbox();
  ProcessLimits limits;
  limits.require_sandbox = true;
  if (level == SandboxLevel::kFull) {
    const PlainClient client(hostile("is_peaceful_at_forward"), limits);
    EXPECT_STREQ(name(client.process.sandbox()), "full");
    return;
  }
  try {
    const PlainClient client(hostile("is_peaceful_at_forward"), limits);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_POLICY");
    EXPECT_THAT(error.what(), HasSubstr(name(level)));
  }
}

}  // namespace
}  // namespace moecollab::worker
