#include "base/shared_parts.h"

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "base/error.h"
#include "unit/cluster/team_of_threads.h"

namespace moecollab::cluster {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A run of seven parts, or more, of which some are finished. Each comes to its square.
struct Squares {
  size_t count = 7;
  std::set<size_t> finished = {};           // known to the first rank alone
  std::vector<size_t> at_once = {1, 1, 1};  // by rank
  std::function<void(int rank, size_t part)> before = [](int, size_t) {};

  std::mutex mutex = {};
  std::map<size_t, int> kept = {};                 // what each part came to
  std::map<size_t, int> by = {};                   // who computed it
  std::vector<std::vector<size_t>> prepared = {};  // on each rank that did

  SharedParts parts(int rank) {
    SharedParts parts;
    parts.unit = "square";
    parts.count = count;
    parts.at_once = at_once[static_cast<size_t>(rank)];
    parts.is_finished = [this, rank](size_t part) {
      EXPECT_EQ(rank, 0);
      return finished.contains(part);
    };
    parts.prepare = [this](std::span<const size_t> missing) {
      const std::lock_guard lock(mutex);
      prepared.emplace_back(missing.begin(), missing.end());
    };
    parts.compute = [this, rank](std::span<const size_t> some, const SharedParts::Take& done) {
      EXPECT_LE(some.size(), at_once[static_cast<size_t>(rank)]);
      for (const size_t part : some) {
        before(rank, part);
        {
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(by.emplace(part, rank).second) << "part " << part << " twice";
        }
        done(part, {{"square", part * part}});
      }
    };
    parts.keep = [this, rank](size_t part, const Json& line) {
      EXPECT_EQ(rank, 0);
      const std::lock_guard lock(mutex);
      EXPECT_TRUE(kept.emplace(part, line.at("square").get<int>()).second) << part << " twice";
    };
    return parts;
  }

  std::vector<std::string> run_on(MemoryNetwork& network) {
    return run(network, [this](Team& team) {
      finish_parts(parts(team.rank()), &team);
      team.finish();
    });
  }

  void expect_all_but_the_finished() const {
    EXPECT_EQ(kept.size(), count - finished.size());
    for (const auto& [part, square] : kept) {
      EXPECT_FALSE(finished.contains(part));
      EXPECT_EQ(square, static_cast<int>(part * part));
    }
  }
};

TEST(SharedParts, AreComputedOnceEachByAllRanksWhateverTheyDoAtOnce) {
  for (const std::vector<size_t>& at_once :
       {std::vector<size_t>{1, 1, 1}, {2, 1, 3}, {1, 100, 1}}) {
    MemoryNetwork network(3);
    Squares squares{.finished = {1, 4}, .at_once = at_once};
    EXPECT_THAT(squares.run_on(network), Each(""));
    squares.expect_all_but_the_finished();
    EXPECT_THAT(squares.prepared,
                ElementsAre(ElementsAre(0, 2, 3, 5, 6), ElementsAre(0, 2, 3, 5, 6),
                            ElementsAre(0, 2, 3, 5, 6)));
    std::set<int> who;
    for (const auto& [part, rank] : squares.by) who.insert(rank);
    EXPECT_EQ(who.size(), 3U);
  }
}

TEST(SharedParts, ARankWithoutAPartWaitsForTheOthers) {
  MemoryNetwork network(3);
  Squares squares{.count = 2};
  EXPECT_THAT(squares.run_on(network), Each(""));
  squares.expect_all_but_the_finished();
}

TEST(SharedParts, OfWhichNoneIsMissingNothingIsComputed) {
  MemoryNetwork network(3);
  Squares squares{.count = 2, .finished = {0, 1}};
  EXPECT_THAT(squares.run_on(network), Each(""));
  EXPECT_TRUE(squares.by.empty());
  EXPECT_TRUE(squares.prepared.empty());
}

TEST(SharedParts, AreOneRoundWithoutRanks) {
  Squares squares{.finished = {3}, .at_once = {6}};
  finish_parts(squares.parts(0), nullptr);
  squares.expect_all_but_the_finished();
}

TEST(SharedParts, AnInterruptSaysWhatIsKept) {
  Squares squares{.finished = {3}, .at_once = {6}, .before = [](int, size_t part) {
                    if (part == 2) throw Error("E_INTERRUPTED", "squaring was interrupted");
                  }};
  try {
    finish_parts(squares.parts(0), nullptr);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_INTERRUPTED");
    EXPECT_THAT(error.what(), HasSubstr("the squares that are finished are kept"));
    EXPECT_EQ(error.hint(), "the same command continues");
  }
  EXPECT_EQ(squares.kept.size(), 2U);
}

// What was kept stays: the next run continues from there.
TEST(SharedParts, WhatOneThrowsOnOneRankEndsAllNamingIt) {
  MemoryNetwork network(3);
  std::atomic<bool> second_round = false;  // of the first rank, which may hear of a loss before it
  Squares squares{.before = [&](int rank, size_t part) {
    if (rank == 0 && part == 3) second_round = true;
    if (rank != 1 || part != 4) return;
    for (int i = 0; i < 10'000 && !second_round; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    throw Error("E_DATA", "no square of it");
  }};
  const std::vector<std::string> ends = squares.run_on(network);
  EXPECT_EQ(ends[1], "E_DATA: no square of it");
  for (const size_t other : {0U, 2U})
    EXPECT_THAT(ends[other], AllOf(HasSubstr("E_DATA: rank 1 (host"), HasSubstr("no square")));
  for (const size_t part : {0U, 1U, 2U, 3U}) EXPECT_TRUE(squares.kept.contains(part)) << part;
  EXPECT_FALSE(squares.kept.contains(4));
}

TEST(SharedParts, RanksWithOtherPartsAreRefused) {
  MemoryNetwork network(2);
  Squares four{.count = 4}, five{.count = 5};
  const std::vector<std::string> ends = run(network, [&](Team& team) {
    finish_parts((team.leads() ? four : five).parts(team.rank()), &team);
  });
  EXPECT_THAT(ends,
              Each(AllOf(HasSubstr("E_DIST"), HasSubstr("4 squares"), HasSubstr("5 squares"))));
  EXPECT_TRUE(four.by.empty());
}

TEST(SharedParts, ARankThatHandsBackOthersThanItWasDealtIsNamed) {
  MemoryNetwork network(2);
  Squares squares{.count = 4};
  const std::vector<std::string> ends = run(network, [&](Team& team) {
    SharedParts parts = squares.parts(team.rank());
    if (!team.leads()) parts.compute = [](auto, const auto& done) { done(0, {{"square", 5}}); };
    finish_parts(parts, &team);
  });
  EXPECT_THAT(ends[0],
              AllOf(HasSubstr("E_DIST: rank 1 was dealt the squares [1], and hands back [0]")));
  EXPECT_EQ(squares.kept, (std::map<size_t, int>{{0, 0}}));
}

}  // namespace
}  // namespace moecollab::cluster
