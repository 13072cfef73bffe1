#include "experts/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace moecollab::experts {
namespace {

using ::testing::HasSubstr;

std::string refusal(const moec_evidence& part, int64_t count = 1) {
  try {
    checked_evidence("liar", std::vector{part}, count, "früh");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_OUT");
    return error.what();
  }
  return "accepted";
}

TEST(Evidence, TakesWhatTheExpertCounted) {
  const std::vector<moec_evidence> written = {{0, 2, 0.5}, {2, 5, -0.25}, {-9, -9, 0}};
  const std::vector<Evidence> checked = checked_evidence("words", written, 2, "früh");
  ASSERT_EQ(checked.size(), 2U);
  EXPECT_EQ(checked[1].begin, 2);
  EXPECT_EQ(checked[1].end, 5);
  EXPECT_EQ(checked[1].weight, -0.25);
}

TEST(Evidence, WidensToWholeCharacters) {
  const std::vector<moec_evidence> written = {{3, 3, 1}};  // in the middle of ü
  const std::vector<Evidence> checked = checked_evidence("words", written, 1, "früh");
  EXPECT_EQ(checked[0].begin, 2);
  EXPECT_EQ(checked[0].end, 4);
}

TEST(Evidence, WhatIsNoPartOfTheTextIsRefused) {
  EXPECT_EQ(refusal({0, 5, 1}), "accepted");
  EXPECT_THAT(refusal({0, 6, 1}),
              HasSubstr("expert liar: explain() gave bytes 0 to 6 of a text of 5"));
  EXPECT_THAT(refusal({-1, 2, 1}), HasSubstr("bytes -1 to 2"));
  EXPECT_THAT(refusal({3, 2, 1}), HasSubstr("bytes 3 to 2"));
  EXPECT_THAT(refusal({0, std::numeric_limits<int64_t>::max(), 1}), HasSubstr("of a text of 5"));
  EXPECT_THAT(refusal({0, 1, std::numeric_limits<double>::quiet_NaN()}), HasSubstr("no number"));
  EXPECT_THAT(refusal({0, 1, std::numeric_limits<double>::infinity()}), HasSubstr("no number"));
  EXPECT_THAT(refusal({0, 1, 1}, 2), HasSubstr("2 parts, asked for at most 1"));
  EXPECT_THAT(refusal({0, 1, 1}, -1), HasSubstr("-1 parts"));
}

}  // namespace
}  // namespace moecollab::experts
