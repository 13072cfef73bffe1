#include "contribution/judgement.h"

#include <gtest/gtest.h>

#include "pipeline/domain_space.h"

namespace moecollab::contribution {
namespace {

// Label space 0 (ids 0, 1) of domain "old", space 1 (ids 2, 3) of domain "new". One expert of the
// old space, and a candidate for the new one.
struct JudgementTest : ::testing::Test {
  JudgementTest() {
    trial.labels.add({"old/1", {"x", "y"}}, false);
    trial.labels.add({"new/1", {"u", "v"}}, false);
    place(old, "old", 0, {0, 1});
    place(trial.loaded.emplace(), "new", 1, {2, 3});
    trial.experts = {&old, &*trial.loaded};
    for (const auto* expert : trial.experts) trial.expert_labels.push_back(expert->labels);
  }
  static void place(pipeline::InstalledExpert& expert, const std::string& domain, int space,
                    std::vector<int> columns) {
    expert.name = domain + "-expert";
    expert.package.manifest.task.domain = domain;
    expert.labels = {space, std::move(columns), 1.0};
  }
  // A text of "old" with label x and one with y, then four of "new" with label u. The old expert
  // says x with probability .8 of every text, the candidate u of the new ones with probability
  // `sure`, and nothing of the old ones.
  static training::AnsweredTexts texts(float sure) {
    training::AnsweredTexts out;
    out.z = at::zeros({6, 1});
    out.targets = at::tensor({0, 1, 2, 2, 2, 2}, at::kLong);
    out.domains = {"old", "new"};
    out.domain_of = {0, 0, 1, 1, 1, 1};
    const at::Tensor own = at::tensor({sure, 1 - sure}).log().expand({4, 2});
    out.logits = {at::tensor({.8F, .2F}).log().expand({6, 2}), at::cat({at::zeros({2, 2}), own})};
    out.seen = {0, 0};
    return out;
  }

  pipeline::InstalledExpert old;
  Trial trial;
};

// Alone, the old expert answers one of its two texts; a candidate surer of u (.9) than it is of x
// (.8) wins the four new ones and, at .5 · .5 against .5 · .8, costs no old one.
TEST_F(JudgementTest, CountsWhatTheCandidateFixesAndBreaks) {
  const Judgement j = judge(trial, texts(.9F), std::nullopt, 4, 1);
  EXPECT_EQ(j.forced.whole.n, 6);
  EXPECT_EQ(j.forced.whole.fixed, 4);
  EXPECT_EQ(j.forced.whole.broke, 0);
  ASSERT_EQ(j.forced.domains.size(), 2u);
  EXPECT_EQ(j.forced.domains[0].first, "old");
  EXPECT_EQ(j.forced.domains[0].second.change, 0.0);
  EXPECT_EQ(j.forced.domains[1].second.fixed, 4);
  EXPECT_EQ(j.own.n, 4);
  EXPECT_EQ(j.own.accuracy, 1.0);
  EXPECT_EQ(j.own.majority, 1.0) << "all of one label";
  EXPECT_EQ(j.verdict, Verdict::kRefuse) << "no better than the majority";
  ASSERT_EQ(j.reasons.size(), 1u);
  EXPECT_NE(j.reasons[0].find("majority class's 1.0000"), std::string::npos) << j.reasons[0];
  EXPECT_EQ(j.texts_needed, 0);
}

// 1/6 of the texts are answered by the old expert, 4/6 by the candidate, in every order.
TEST_F(JudgementTest, ContributionsSumToTheWholePool) {
  const Judgement j = judge(trial, texts(.9F), std::nullopt, 4, 1);
  ASSERT_EQ(j.contributions.size(), 2u);
  EXPECT_EQ(j.contributions[0].name, "old-expert");
  EXPECT_FALSE(j.contributions[0].candidate);
  EXPECT_TRUE(j.contributions[1].candidate);
  EXPECT_NEAR(j.contributions[1].leave_one_out, 4.0 / 6, 1e-12);
  EXPECT_NEAR(j.contributions[0].shapley, 1.0 / 6, 1e-12);
  EXPECT_NEAR(j.contributions[1].shapley, 4.0 / 6, 1e-12);
}

// At .6 the candidate, which is always right, counts for less than the old expert at .8, which is
// right half of the time; at temperatures that fit both, it counts for more.
TEST_F(JudgementTest, AnswersAtTheTemperatureThatFits) {
  EXPECT_EQ(judge(trial, texts(.6F), std::nullopt, 1, 1).forced.whole.fixed, 0);
  EXPECT_EQ(judge(trial, texts(.6F), texts(.6F), 1, 1).forced.whole.fixed, 4);
}

// A third expert as good as the candidate, which would leave for it: nothing changes. Beside it the
// candidate counts half as much.
TEST_F(JudgementTest, AReplacedExpertLeavesWhenTheCandidateComes) {
  pipeline::InstalledExpert predecessor;
  place(predecessor, "new", 1, {2, 3});
  trial.experts = {&old, &predecessor, &*trial.loaded};
  trial.expert_labels.insert(trial.expert_labels.begin() + 1, predecessor.labels);
  const auto answers = [](float before, float now) {
    training::AnsweredTexts out = texts(now);
    out.logits.insert(out.logits.begin() + 1, texts(before).logits[1]);
    out.seen = {0, 0, 0};
    return out;
  };
  trial.replaced = 1;
  const Judgement same = judge(trial, answers(.9F, .9F), std::nullopt, 4, 1);
  EXPECT_EQ(same.forced.whole.fixed + same.forced.whole.broke, 0);
  ASSERT_EQ(same.contributions.size(), 2u) << "the replaced one is not there any more";
  EXPECT_NEAR(same.contributions[1].leave_one_out, 4.0 / 6, 1e-12);
  const Judgement worse = judge(trial, answers(.9F, .6F), std::nullopt, 4, 1);
  EXPECT_EQ(worse.forced.whole.broke, 4);
  trial.replaced.reset();
  EXPECT_EQ(judge(trial, answers(.9F, .9F), std::nullopt, 4, 1).contributions.size(), 3u);
}

// Two rows, always half of the weight each. Without its row the candidate answers nothing.
TEST_F(JudgementTest, UnderTheGateAsItIsTheCandidatesRowIsInOrOut) {
  pipeline::RoutedGate routed;
  routed.gate.weight = at::zeros({2, 1});
  routed.gate.bias = at::zeros({2});
  routed.gate.mean = at::zeros({1});
  routed.gate.std = at::ones({1});
  routed.experts = trial.experts;
  trial.gate = std::move(routed);
  trial.gate_file.emplace();
  ASSERT_EQ(row_of(trial, 1), 1u);
  const FittedGateChange change = judge_at_row(trial, texts(.9F), 1);
  EXPECT_EQ(change.changes.whole.fixed, 4);
  EXPECT_EQ(change.changes.whole.broke, 0);
  EXPECT_EQ(change.texts, 0) << "no row was fitted";
  trial.caps = at::tensor({1.0F, .2F, .2F});
  EXPECT_EQ(judge_at_row(trial, texts(.9F), 1).changes.whole.fixed, 0) << "at .2 · .9 against .8²";
}

TEST_F(JudgementTest, ADomainsSpaceIsStatedOrItsExperts) {
  registry::RegistryFile registry;
  const auto space = [&](const std::string& domain) {
    return pipeline::find_domain_space(registry, trial.experts, trial.labels, domain);
  };
  EXPECT_EQ(space("new"), 1);
  EXPECT_EQ(space("other"), std::nullopt);
  registry.domains = {{"other", "old/1"}, {"new", "gone/1"}};
  EXPECT_EQ(space("other"), 0);
  EXPECT_EQ(space("new"), std::nullopt) << "what is stated counts";
  old.package.manifest.task.domain = "both";
  trial.candidate().package.manifest.task.domain = "both";
  EXPECT_ANY_THROW(space("both"));
}

}  // namespace
}  // namespace moecollab::contribution
