// Gates that judge a fitted one, each on the texts it was not fitted on.
#include "training/gate_cross_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

// What a text's label and answers are does not change how the text itself is routed, but others.
TEST(GateCrossFit, NoTextIsRoutedByAGateThatWasFittedOnIt) {
  const GateToy toy(20);
  const auto crossed = [](const GateToy& texts) {
    return cross_fitted_router_logits(texts.problem(), GateToy::options(), 5, {});
  };
  const at::Tensor before = crossed(toy);
  ASSERT_EQ(before.sizes(), (std::vector<int64_t>{20, 3}));
  EXPECT_TRUE(crossed(toy).equal(before)) << "the seed decides";
  GateToy other = toy;
  other.data.held_out.targets = toy.data.held_out.targets.clone();
  for (const int64_t row : {3, 8}) {
    other.data.held_out.targets[row] = (toy.data.held_out.targets[row] + 2).remainder(4);
    const at::Tensor after = crossed(other);
    EXPECT_TRUE(after[row].equal(before[row])) << row;
    EXPECT_FALSE(after.equal(before)) << row;
    other.data.held_out.targets[row] = toy.data.held_out.targets[row];
  }
}

TEST(GateCrossFit, TooFewTextsToCrossFitAreRefused) {
  try {
    cross_fitted_router_logits(GateToy(4).problem(), GateToy::options(), 3, {});
    ADD_FAILURE() << "chosen";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DATA");
    EXPECT_THAT(error.what(), ::testing::HasSubstr("4 held-out texts"));
  }
}

}  // namespace
}  // namespace moecollab::training
