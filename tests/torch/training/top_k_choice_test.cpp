// --top-k auto on texts whose every answer is known.
#include "training/top_k_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

// Router logits that give these shares to all texts.
at::Tensor shares(const std::vector<float>& g, int64_t texts) {
  return at::tensor(g).log().expand({texts, static_cast<int64_t>(g.size())}).contiguous();
}

// Three experts that answer alike in one label space of x and y. Expert 0, whose share is the
// greatest, is unsure and wrong on every second text; experts 1 and 2 are right on all.
struct Votes {
  explicit Votes(int64_t texts, int64_t wrong_every = 2) {
    labels.add({"a/1", {"x", "y"}}, false);
    experts.assign(3, {0, {0, 1}, 1.0});
    const at::Tensor i = at::arange(texts);
    data.held_out.z = at::sin(i.to(at::kFloat)).unsqueeze(1);
    data.held_out.targets = i.remainder(2);
    data.held_out.domains = {"a"};
    data.held_out.seen = {0, 0, 0};
    data.others.z = at::zeros({0, 1});
    data.others.spaces = at::zeros({0}, at::kLong);
    const at::Tensor right = at::one_hot(data.held_out.targets, 2).to(at::kFloat);
    const at::Tensor fails = i.remainder(wrong_every).eq(0).unsqueeze(1);
    data.held_out.logits = {at::where(fails, 1 - right, right), right * 9, right * 9};
  }
  GateProblem problem(fusion::Mode fusion = fusion::Mode::kMixture) const {
    return {data, experts, labels, {{2, encoder::Pooling::kMean}}, fusion, 0, Log()};
  }

  fusion::LabelUnion labels;
  std::vector<fusion::ExpertLabels> experts;
  GateData data;
};

TEST(TopKChoice, TakesTwoIfOneLosesAndTwoSuffice) {
  for (const fusion::Mode mode : {fusion::Mode::kMixture, fusion::Mode::kMasked}) {
    const TopKChoice choice =
        choose_top_k(Votes(40).problem(mode), shares({0.5F, 0.3F, 0.2F}, 40), {});
    EXPECT_EQ(choice.top_k, 2) << fusion::name(mode);
    EXPECT_EQ(choice.stored_top_k(), 2);
    EXPECT_EQ(choice.texts, 40);
    EXPECT_THAT(choice.accuracy, ::testing::ElementsAre(0.5, 1.0, 1.0)) << fusion::name(mode);
  }
}

TEST(TopKChoice, ATenthOfAPointMayBeLostAndNoMore) {
  const auto chosen = [](int64_t texts, int64_t wrong_every) {
    return choose_top_k(Votes(texts, wrong_every).problem(), shares({0.5F, 0.3F, 0.2F}, texts), {});
  };
  EXPECT_EQ(chosen(1000, 1000).top_k, 1) << "one of 1000 is a tenth of a point";
  EXPECT_EQ(chosen(999, 1000).top_k, 2) << "one of 999 is more";
  EXPECT_EQ(chosen(1000, 500).top_k, 2) << "two of 1000 are more";
}

// Equal shares, and only the last expert is right: any k below 3 leaves it out.
TEST(TopKChoice, AllExpertsAreStoredAsZero) {
  Votes votes(30);
  const at::Tensor right = votes.data.held_out.logits[1];
  votes.data.held_out.logits = {-right / 90, -right / 90, right};
  const TopKChoice choice = choose_top_k(votes.problem(), shares({0.34F, 0.34F, 0.32F}, 30), {});
  EXPECT_EQ(choice.top_k, 3);
  EXPECT_EQ(choice.stored_top_k(), 0);
  EXPECT_THAT(choice.accuracy, ::testing::ElementsAre(0.0, 0.0, 1.0));
}

// Expert 0 is sure of a wrong answer: among all, only a cap on its weight lets the others decide.
TEST(TopKChoice, WeightsAreCappedAsTheCollaborationCapsThem) {
  Votes votes(30, 1);
  votes.data.held_out.logits[0] = votes.data.held_out.logits[0] * 9;
  const at::Tensor router = shares({0.8F, 0.1F, 0.1F}, 30);
  EXPECT_THAT(choose_top_k(votes.problem(), router, {}).accuracy,
              ::testing::ElementsAre(0.0, 0.0, 0.0));
  const TopKChoice capped = choose_top_k(votes.problem(), router, at::tensor({0.25F, 1.0F, 1.0F}));
  EXPECT_THAT(capped.accuracy, ::testing::ElementsAre(0.0, 1.0, 1.0)) << "alone it is not capped";
  EXPECT_EQ(capped.top_k, 2);
}

}  // namespace
}  // namespace moecollab::training
