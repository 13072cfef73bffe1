#include "cluster/handshake.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace moecollab::cluster {
namespace {

using ::testing::HasSubstr;

// Gives what the test says that the others gave.
class FixedRanks final : public Ranks {
 public:
  explicit FixedRanks(std::vector<std::string> others) : others_(std::move(others)) {}
  int rank() const override { return 0; }
  int size() const override { return static_cast<int>(others_.size()) + 1; }
  std::vector<std::string> exchange(std::string_view /*what*/, std::string own) override {
    std::vector<std::string> all = {std::move(own)};
    all.insert(all.end(), others_.begin(), others_.end());
    return all;
  }

 private:
  std::vector<std::string> others_;
};

const Facts kOwn = {{"seed", "1"}, {"data of news", "ab12"}};

std::string refusal(std::vector<std::string> others) {
  FixedRanks ranks(std::move(others));
  try {
    require_equal(ranks, "handshake", kOwn);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DIST");
    return error.what();
  }
  return "";
}

TEST(Handshake, EqualFactsAgree) {
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({R"([["seed","1"],["data of news","ab12"]])",
                     R"([["seed","1"],["data of news","ab12"]])"}),
            "");
}

TEST(Handshake, TheFirstDifferenceIsNamedWithBothValuesAndTheRank) {
  EXPECT_EQ(refusal({R"([["seed","1"],["data of news","ab12"]])",
                     R"([["seed","2"],["data of news","cd34"]])"}),
            "seed is \"1\" on rank 0 and \"2\" on rank 2");
  EXPECT_EQ(refusal({R"([["seed","1"],["data of news","cd34"]])"}),
            "data of news is \"ab12\" on rank 0 and \"cd34\" on rank 1");
}

TEST(Handshake, FactsThatOneRankLacksAreADifference) {
  EXPECT_EQ(refusal({R"([["seed","1"]])"}),
            "data of news is \"ab12\" on rank 0 and not stated on rank 1");
  EXPECT_EQ(refusal({R"([["seed","1"],["data of news","ab12"],["gate","e"]])"}),
            "gate is not stated on rank 0 and \"e\" on rank 1");
  EXPECT_EQ(refusal({R"([["seed","1"],["data of mail","ab12"]])"}),
            "rank 0 has data of news, rank 1 has data of mail in its place");
}

TEST(Handshake, WhatIsNoListOfFactsIsRefused) {
  for (const char* bytes : {"", "{", "[1]", "[[\"seed\"]]", "[[\"seed\",1]]", "\xff", "{\"a\":1}"})
    EXPECT_THAT(refusal({bytes}), HasSubstr("rank 1 states its facts in another form")) << bytes;
}

}  // namespace
}  // namespace moecollab::cluster
