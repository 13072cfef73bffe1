#include "pipeline/outputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "torch/toy_pool.h"

namespace moecollab::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The critic's answers: to every text the logits (ln 3, 0), unless a test says otherwise.
struct OutputsTest : ::testing::Test {
  explicit OutputsTest(const std::string& more = "") : toy(tiny, more, options()) {}

  PoolOptions options() {
    PoolOptions options;
    options.cache =
        std::make_shared<encoder::FeatureCache>(folder.path(), "a test's engine", Log());
    options.context.stop = StopToken(stop);
    return options;
  }
  encoder::Features features() { return features_of(toy.pool(), {texts.begin(), texts.end()}, {}); }
  Outputs nothing_known() const {
    Outputs outputs{at::zeros({static_cast<int64_t>(texts.size()), 2}), {}};
    for (size_t i = 0; i < texts.size(); ++i) outputs.to_run.push_back(static_cast<int64_t>(i));
    return outputs;
  }
  void complete_rows(const std::vector<int64_t>& rows, Outputs& outputs) {
    complete(toy.pool(), critic(), features(), rows, outputs);
  }
  InstalledExpert& critic() { return toy.installed(0); }
  moecollab::testing::TableExpert& table() { return toy.expert(0); }
  std::vector<int64_t> still_to_run() { return recall(toy.pool(), critic(), texts).to_run; }

  std::atomic<bool> stop = false;
  TemporaryFolder folder;
  moecollab::testing::TinyEncoder tiny;
  moecollab::testing::ToyPool toy;
  std::vector<std::string_view> texts = {"one", "two", "three", "four"};
};

TEST_F(OutputsTest, CompleteFillsWhatIsMissingAndNothingElse) {
  Outputs outputs = nothing_known();
  outputs.logits[1].fill_(9);
  outputs.to_run = {0, 2, 3};
  complete_rows({1, 2}, outputs);
  EXPECT_THAT(table().asked, ElementsAre("three"));
  EXPECT_THAT(outputs.to_run, ElementsAre(0, 3));
  const float ln3 = std::log(3.0F);
  EXPECT_TRUE(outputs.logits.equal(
      at::tensor({0.0F, 0.0F, 9.0F, 9.0F, ln3, 0.0F, 0.0F, 0.0F}).view({4, 2})));
  EXPECT_EQ(critic().calls, 1);
  complete_rows({0, 1, 2, 3}, outputs);
  EXPECT_THAT(table().asked, ElementsAre("three", "one", "four"));
  EXPECT_THAT(outputs.to_run, IsEmpty());
  EXPECT_EQ(outputs.logits[1][0].item<float>(), 9);
}

TEST_F(OutputsTest, WhatWasGivenBeforeStaysAsItIs) {
  Outputs outputs = nothing_known();
  const at::Tensor before = outputs.logits;
  complete_rows({1}, outputs);
  EXPECT_EQ(before.count_nonzero().item<int64_t>(), 0);
  EXPECT_EQ(outputs.logits.count_nonzero().item<int64_t>(), 1);
}

TEST_F(OutputsTest, NobodyIsAskedWhereNothingIsMissing) {
  Outputs outputs = nothing_known();
  complete_rows({}, outputs);
  outputs.to_run = {3};
  complete_rows({0, 1, 2}, outputs);
  EXPECT_EQ(table().passes, 0);
  EXPECT_THAT(outputs.to_run, ElementsAre(3));
}

// ln p of the probabilities .9 and .1.
TEST_F(OutputsTest, ProbabilitiesAreKeptAsLogits) {
  table().probabilities = true;
  table().answers["two"] = {.9F, .1F};
  Outputs outputs = nothing_known();
  complete_rows({1}, outputs);
  EXPECT_NEAR(outputs.logits[1][0].item<double>(), std::log(.9), 1e-6);
  EXPECT_NEAR(outputs.logits[1][1].item<double>(), std::log(.1), 1e-6);
}

TEST_F(OutputsTest, WhatWasAnsweredIsRecalled) {
  EXPECT_THAT(still_to_run(), ElementsAre(0, 1, 2, 3));
  table().answers["two"] = {5, 6};
  Outputs outputs = nothing_known();
  complete_rows({1, 3}, outputs);
  const Outputs again = recall(toy.pool(), critic(), texts);
  EXPECT_THAT(again.to_run, ElementsAre(0, 2));
  EXPECT_TRUE(again.logits.equal(outputs.logits));
  EXPECT_EQ(again.logits[1][1].item<float>(), 6);
  const std::vector<std::string_view> turned = {"four", "one", "two"};
  EXPECT_THAT(recall(toy.pool(), critic(), turned).to_run, ElementsAre(1));
}

TEST_F(OutputsTest, AnotherPackageOrAnotherExpertHasItsOwnAnswers) {
  Outputs outputs = nothing_known();
  complete_rows({0, 1, 2, 3}, outputs);
  EXPECT_THAT(still_to_run(), IsEmpty());
  EXPECT_THAT(recall(toy.pool(), toy.installed(1), texts).to_run, ElementsAre(0, 1, 2, 3));
  critic().package.manifest_sha256[0] ^= 1;
  EXPECT_THAT(still_to_run(), ElementsAre(0, 1, 2, 3));
}

TEST_F(OutputsTest, AnExpertThatIsNotDeterministicIsAskedEachTime) {
  critic().package.manifest.output.deterministic = false;
  Outputs outputs = nothing_known();
  complete_rows({0, 1, 2, 3}, outputs);
  EXPECT_THAT(still_to_run(), ElementsAre(0, 1, 2, 3));
}

// Answers are asked for 1,024 at a time, so that a run that is stopped keeps what it has.
TEST_F(OutputsTest, AStopKeepsWhatIsAnswered) {
  std::vector<std::string> many;
  for (int i = 0; i < 1025; ++i) many.push_back(fmt::format("text {}", i));
  texts.assign(many.begin(), many.end());
  Outputs outputs = nothing_known();
  const std::vector<int64_t> all = outputs.to_run;
  stop = true;
  try {
    complete_rows(all, outputs);
    FAIL() << "was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_INTERRUPTED");
  }
  EXPECT_EQ(table().passes, 1);
  EXPECT_THAT(still_to_run(), ElementsAre(1024));
  stop = false;
  outputs = nothing_known();
  complete_rows(all, outputs);
  EXPECT_EQ(table().passes, 3);
}

struct MaskingOutputsTest : OutputsTest {
  MaskingOutputsTest() : OutputsTest("[policy]\nnan = \"mask\"\n") {}
};

TEST_F(MaskingOutputsTest, AnswersWithNanAreNotKept) {
  table().answers["two"] = {0, std::numeric_limits<float>::infinity()};
  Outputs outputs = nothing_known();
  complete_rows({1}, outputs);
  EXPECT_TRUE(outputs.logits[1].isinf().any().item<bool>());
  complete_rows({0}, outputs);
  EXPECT_THAT(still_to_run(), ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace moecollab::pipeline
