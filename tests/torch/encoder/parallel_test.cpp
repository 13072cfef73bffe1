#include "encoder/parallel.h"

#include <gmock/gmock.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace moecollab::encoder {
namespace {

TEST(TeamTest, TheMembersPartsAreTheWholeInTheirOrder) {
  for (const int64_t members : {1, 2, 3, 7}) {
    int64_t next = 0;
    for (int64_t rank = 0; rank < members; ++rank) {
      const auto [begin, end] = TeamMember(rank, members, nullptr).part(10);
      EXPECT_EQ(begin, next);
      next = end;
    }
    EXPECT_EQ(next, 10);
  }
}

// Each step reads what all members wrote in the one before.
TEST(TeamTest, AStepSeesAllThatTheStepBeforeWrote) {
  constexpr int64_t kNumbers = 60, kSteps = 200;
  std::vector<int64_t> values(kNumbers), next(kNumbers);
  std::iota(values.begin(), values.end(), 0);
  in_team(4, [&](const TeamMember& member) {
    const auto [begin, end] = member.part(kNumbers);
    for (int64_t step = 0; step < kSteps; ++step) {
      for (int64_t i = begin; i < end; ++i)
        next[static_cast<size_t>(i)] = values[static_cast<size_t>((i + 17) % kNumbers)] + 1;
      member.finish_step();
      for (int64_t i = begin; i < end; ++i)
        values[static_cast<size_t>(i)] = next[static_cast<size_t>(i)];
      member.finish_step();
    }
  });
  for (int64_t i = 0; i < kNumbers; ++i)
    EXPECT_EQ(values[static_cast<size_t>(i)], (i + 17 * kSteps) % kNumbers + kSteps);
}

TEST(TeamTest, AMembersErrorEndsTheOthersAtTheirNextStep) {
  std::atomic<int> past = 0;
  const auto work = [&](const TeamMember& member) {
    member.finish_step();
    if (member.rank() == 1) throw std::runtime_error("of one member");
    for (int step = 0; step < 100; ++step) {
      member.finish_step();
      ++past;
    }
  };
  EXPECT_THAT([&] { in_team(3, work); },
              ::testing::ThrowsMessage<std::runtime_error>("of one member"));
  EXPECT_EQ(past, 0);
  // The pool is whole again.
  std::atomic<int> members = 0;
  in_team(3, [&](const TeamMember&) { ++members; });
  EXPECT_EQ(members, 3);
}

}  // namespace
}  // namespace moecollab::encoder
