#include "cluster/team.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/measure.h"
#include "unit/cluster/team_of_threads.h"

namespace moecollab::cluster {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Team, EachRankGetsWhatAllGave) {
  MemoryNetwork network(4);
  const auto ends = run(network, [](Team& team) {
    for (int step = 0; step < 20; ++step) {
      const std::string own = std::to_string(team.rank()) + "/" + std::to_string(step);
      const auto all = team.exchange("step " + std::to_string(step), own);
      ASSERT_EQ(all.size(), 4u);
      for (int r = 0; r < 4; ++r)
        EXPECT_EQ(all[static_cast<size_t>(r)], std::to_string(r) + "/" + std::to_string(step));
    }
    team.finish();
  });
  EXPECT_THAT(ends, ElementsAre("", "", "", ""));
}

TEST(Team, ARankAloneTakesTheSameSteps) {
  MemoryNetwork network(1);
  EXPECT_THAT(run(network,
                  [](Team& team) {
                    EXPECT_THAT(team.exchange("a", "own"), ElementsAre("own"));
                    team.finish();
                  }),
              ElementsAre(""));
}

TEST(Team, LargeGiftsComeInPieces) {
  MemoryNetwork network(2);
  const auto ends = run(network, [](Team& team) {
    std::string own(20'000'001, team.rank() == 0 ? 'a' : 'b');
    own.back() = 'z';
    const auto all = team.exchange("large", own);
    EXPECT_TRUE(all[0] == std::string(20'000'000, 'a') + "z");
    EXPECT_TRUE(all[1] == std::string(20'000'000, 'b') + "z");
    EXPECT_THAT(team.exchange("none", ""), ElementsAre("", ""));
    team.finish();
  });
  EXPECT_THAT(ends, ElementsAre("", ""));
}

TEST(Team, ARankThatComputesLongIsWaitedFor) {
  MemoryNetwork network(2);
  const auto ends = run(
      network,
      [](Team& team) {
        if (team.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(4500));
        team.exchange("after work", "");
        team.finish();
      },
      impatient());
  EXPECT_THAT(ends, ElementsAre("", ""));
}

TEST(Team, RanksAtDifferentStepsAreRefusedAndNamed) {
  MemoryNetwork network(2);
  const auto ends = run(network, [](Team& team) {
    team.exchange(team.rank() == 0 ? "features" : "answers", "x");
    team.finish();
  });
  for (const std::string& end : ends)
    EXPECT_THAT(end,
                AllOf(HasSubstr("E_DIST"), HasSubstr("\"features\""), HasSubstr("\"answers\"")));
}

TEST(Team, ARankThatHasFinishedGivesNothingMore) {
  MemoryNetwork network(2);
  const auto ends = run(
      network,
      [](Team& team) {
        if (team.rank() == 0) team.exchange("one more", "x");
        team.finish();
      },
      impatient());
  EXPECT_THAT(ends[0], AllOf(HasSubstr("E_DIST: rank 1"), HasSubstr("has ended its work"),
                             HasSubstr("\"one more\"")));
  EXPECT_NE(ends[1], "");
}

TEST(Team, WhatOneRankThrowsEndsAllWithItsCode) {
  MemoryNetwork network(3);
  const auto ends = run(network, [](Team& team) {
    if (team.rank() == 1) throw Error("E_DATA", "news/train.jsonl:3: no label", "fix the line");
    team.exchange("features", "x");
  });
  EXPECT_EQ(ends[1], "E_DATA: news/train.jsonl:3: no label");
  for (const int other : {0, 2})
    EXPECT_THAT(ends[static_cast<size_t>(other)], AllOf(HasSubstr("E_DATA: rank 1 (host "),
                                                        HasSubstr("news/train.jsonl:3: no label")));
}

TEST(Team, R54_ARankThatIsCutOffIsNamedByAllOthersWithinTheTimeOut) {
  MemoryNetwork network(3);
  const Stopwatch watch;
  const auto ends = run(
      network,
      [&](Team& team) {
        team.exchange("all are there", "");
        if (team.rank() == 2) network.cut_off(2);
        team.exchange("features", "x");
      },
      impatient());
  for (const int other : {0, 1})
    EXPECT_THAT(
        ends[static_cast<size_t>(other)],
        AllOf(HasSubstr("E_DIST: rank 2 (host "), HasSubstr("has not been heard of for 3 s")));
  EXPECT_LT(watch.seconds(), kTimeout + 5);
}

TEST(Team, R54_DamagedLettersAreRefusedNamingTheirSender) {
  MemoryNetwork network(2);
  const auto ends = run(
      network,
      [&](Team& team) {
        team.exchange("all are there", "");
        if (team.rank() == 1) {
          network.change(1, [](std::string bytes) {
            bytes.at(18) = '\0';  // in the head, which that of a beat ends with
            return bytes;
          });
        }
        team.exchange("features", std::string(100, 'x'));
        team.exchange("answers", std::string(3, 'x'));
      },
      impatient());
  EXPECT_THAT(ends[0],
              AllOf(HasSubstr("E_DIST: rank 1"), HasSubstr("sent a letter that is damaged")));
}

TEST(Team, PiecesThatDoNotFollowEachOtherAreRefused) {
  MemoryNetwork network(2);
  const auto ends = run(
      network,
      [&](Team& team) {
        team.exchange("all are there", "");
        if (team.rank() == 1) {
          Letter piece;
          piece.kind = Letter::Kind::kPart;
          piece.step = 3;
          piece.offset = 5;
          piece.total = 9;
          piece.what = "features";
          network.send(1, 0, to_bytes(piece));
        }
        team.exchange("features", "x");
        team.finish();
      },
      impatient());
  EXPECT_THAT(ends[0], AllOf(HasSubstr("E_DIST: rank 1"), HasSubstr("0 bytes at 5 of step 3")));
}

// Once the other rank has left the step that both took: until then it may hear of this instead.
[[noreturn]] void fail_after(const std::atomic<bool>& left) {
  while (!left) std::this_thread::yield();
  throw Error("E_OUT", "an expert failed");
}

TEST(Team, ARunThatDoesNotStopIsEndedAfterItsGrace) {
  MemoryNetwork network(2);
  std::mutex mutex;
  std::vector<std::string> said;
  std::atomic<int> asked = 0;
  std::atomic<bool> first_computes = false;
  TeamOptions options = quick();
  options.on_loss = [&] { ++asked; };
  options.end = [&](const Error& error) {
    const std::lock_guard lock(mutex);
    said.push_back(error.what());
  };
  run(
      network,
      [&](Team& team) {
        team.exchange("all are there", "");
        if (team.rank() == 1) fail_after(first_computes);
        first_computes = true;
        std::this_thread::sleep_for(std::chrono::seconds(2));  // at no step
      },
      options);
  EXPECT_EQ(asked, 1);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_THAT(said[0], AllOf(HasSubstr("rank 1"), HasSubstr("an expert failed")));
}

TEST(Team, ALossThatIsHeardOfIsWhyARunWasInterrupted) {
  MemoryNetwork network(2);
  std::atomic<bool> first_computes = false;
  const auto ends = run(network, [&](Team& team) {
    team.exchange("all are there", "");
    if (team.rank() == 1) fail_after(first_computes);
    first_computes = true;
    std::optional<Error> loss;
    for (int i = 0; i < 20 && !loss; ++i) loss = team.loss();
    ASSERT_TRUE(loss);
    EXPECT_EQ(loss->code(), "E_OUT");
  });
  EXPECT_EQ(ends[0], "");
}

TEST(Team, AStopIsHeardWhileOthersAreWaitedFor) {
  MemoryNetwork network(2);
  std::atomic<bool> stop = false;
  TeamOptions options = quick();
  options.stop = StopToken(stop);
  const auto ends = run(
      network,
      [&](Team& team) {
        team.exchange("all are there", "");
        if (team.rank() == 1) {
          stop = true;
          return team.loss().has_value() ? void() : throw Error("E_DATA", "nobody left");
        }
        team.exchange("features", "x");
      },
      options);
  EXPECT_THAT(ends[0], HasSubstr("E_INTERRUPTED"));
}

TEST(Team, RanksThatDoNotMeetAreReported) {
  TeamOptions options = quick();
  options.timeout = 0.2;
  try {
    Team team(
        [] {
          std::this_thread::sleep_for(std::chrono::seconds(1));
          return std::unique_ptr<Link>();
        },
        options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DIST");
    EXPECT_THAT(error.what(), HasSubstr("did not meet within 0.2 s"));
  }
  std::this_thread::sleep_for(std::chrono::seconds(1));  // the thread must leave the team alone
}

TEST(Process, IntroducesItselfAndIsRefusedDamaged) {
  const Process own = this_process();
  const Process read = Process::parse(own.to_bytes());
  EXPECT_EQ(read.host, own.host);
  EXPECT_EQ(read.pid, ::getpid());
  EXPECT_EQ(read.machine, own.machine);
  for (const char* bytes : {"", "{}", "{\"host\":1,\"pid\":2,\"machine\":\"\"}", "[]", "\xff"}) {
    try {
      Process::parse(bytes);
      ADD_FAILURE() << bytes;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_DIST");
    }
  }
}

TEST(ProcessWatch, SeesOneOnThisMachineEnd) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::close(pipe_ends[1]);
    ::_exit(::read(pipe_ends[0], &byte, 1) < 0 ? 1 : 0);
  }
  Process process = this_process();
  process.pid = child;
  const ProcessWatch watch(process);
  EXPECT_FALSE(watch.has_ended());
  process.machine += " another";
  const ProcessWatch elsewhere(process);
  ::close(pipe_ends[1]);
  ::close(pipe_ends[0]);
  for (int i = 0; i < 500 && !watch.has_ended(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(watch.has_ended());
  EXPECT_FALSE(elsewhere.has_ended());
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace moecollab::cluster
