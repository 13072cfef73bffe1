// The figures of one domain over three experts in memory, counted by hand.
#include "evaluation/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/toy_pool.h"

namespace moecollab::evaluation {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Toy = moecollab::testing::ToyPool;

// Shares .3 (critic), .2 (fan) and .5 (judge) for every text. Ids: bad 0, good 1, civil 2.
struct RunTest : ::testing::Test {
  RunTest() {
    films.domain = "films";
    films.examples = {{"one", "bad"}, {"two", "good"}, {"three", "good"}, {"four", "bad"}};
    toy.expert(Toy::kCritic).answers["two"] = {0, std::log(3.0F)};  // bad 1/4, good 3/4
    toy.expert(Toy::kJudge).answers["four"] = {50, 0, 0};           // civil 1
  }
  DomainFigures run(fusion::Mode mode, int64_t top_k = 0,
                    Arrangement arrangement = Arrangement::kShared) {
    pipeline::Collaboration collaboration(toy.pool(), pipeline::open_gate(gate, toy.pool()), mode,
                                          top_k);
    Baselines baselines;
    return run_domain(collaboration, gate, films, baselines, arrangement, 1);
  }

  moecollab::testing::TinyEncoder tiny;
  Toy toy{tiny};
  pipeline::GateFile gate = toy.constant_gate({.3F, .2F, .5F});
  data::Dataset films;
};

// one and three: bad .3·.75 + .2·.2 = .265, good .235, civil .25. two: good .3·.75 + .2·.8 = .385.
// four: civil .5, and of the films' labels bad .265. With a third each, good has (.25 + .8)/3 = .35
// against bad .317 and, in four, civil 1/3.
TEST_F(RunTest, EverySystemsAnswers) {
  const DomainFigures run = this->run(fusion::Mode::kMixture);
  EXPECT_EQ(run.space, 0);
  EXPECT_THAT(run.truth, ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(run.answer, ElementsAre(0, 1, 0, 2));
  EXPECT_THAT(run.answer_aware, ElementsAre(0, 1, 0, 0));
  EXPECT_NEAR(run.confidence[0], .265, 1e-6);
  EXPECT_NEAR(run.confidence[1], .385, 1e-6);
  EXPECT_NEAR(run.confidence[3], .5, 1e-6);
  EXPECT_EQ(run.best_expert, "critic") << "the first of those that nothing is known of";
  EXPECT_THAT(run.expert_answer, ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(run.uniform_gate, ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(run.equal_shares, Each(1))
      << "good has (.25 + .8) / 2 of one, three and four, and more of two";
  EXPECT_THAT(run.majority, Each(0));
  EXPECT_THAT(run.multi_task_head, IsEmpty());
  for (size_t e = 0; e < 3; ++e) EXPECT_EQ(toy.installed(e).calls, 4) << e;
}

// Without the judge's space the shares are .6 and .4; without the films' only the judge is left.
TEST_F(RunTest, EntropiesAreThoseOfTheOthersAlone) {
  const DomainFigures run = this->run(fusion::Mode::kMixture);
  ASSERT_EQ(run.entropy_without.size(), 2u);
  const double two = -(.6 * std::log(.6) + .4 * std::log(.4));
  EXPECT_THAT(run.entropy_without[1], Each(::testing::DoubleNear(two, 1e-6)));
  EXPECT_THAT(run.entropy_without[0], Each(::testing::DoubleNear(0, 1e-6)));
}

// One pass per text for all; or one for the gate and one for each expert that reads the encoder.
TEST_F(RunTest, ASeparateArrangementEncodesForEachAndAnswersTheSame) {
  toy.expert(Toy::kCritic).hidden_layer = 1;
  const auto passes = [&] { return toy.pool().encoder()->counters().forwards; };
  const DomainFigures shared = this->run(fusion::Mode::kMixture, 1);
  const int64_t once = passes();
  const DomainFigures apart = this->run(fusion::Mode::kMixture, 1, Arrangement::kSeparate);
  int64_t readers = 0;
  for (size_t e = 0; e < 3; ++e) readers += toy.installed(e).expert->request().empty() ? 0 : 1;
  ASSERT_GT(readers, 0);
  EXPECT_EQ(once, 4);
  EXPECT_EQ(passes() - once, 4 * (1 + readers));
  EXPECT_EQ(apart.answer, shared.answer);
  EXPECT_EQ(apart.gate, shared.gate);
  EXPECT_EQ(apart.confidence, shared.confidence);
  EXPECT_EQ(toy.installed(Toy::kJudge).calls, 8) << "counted as asked by the gate";
  EXPECT_EQ(toy.installed(Toy::kCritic).calls, 0);
  EXPECT_EQ(toy.installed(Toy::kJudge).cached, 0);
}

TEST_F(RunTest, TheBestExpertIsThatOfTheGatesFit) {
  gate.metrics["expert_accuracy"] = {{"critic", .7}, {"fan", .8}, {"judge", .9}};
  const DomainFigures run = this->run(fusion::Mode::kMixture);
  EXPECT_EQ(run.best_expert, "fan") << "the judge answers in another label space";
  EXPECT_THAT(run.expert_answer, Each(1));
}

TEST_F(RunTest, AnExpertThatMayHaveTrainedOnTheHeldOutTextsIsNotTheBest) {
  gate.metrics["expert_accuracy"] = {{"critic", .7}, {"fan", .8}, {"judge", .9}};
  const auto fan = std::ranges::find(gate.rows, "fan", &pipeline::GateRow::name);
  ASSERT_NE(fan, gate.rows.end());
  fan->heldout_known = false;
  EXPECT_EQ(this->run(fusion::Mode::kMixture).best_expert, "critic");
  for (pipeline::GateRow& row : gate.rows) row.heldout_known = false;
  EXPECT_EQ(this->run(fusion::Mode::kMixture).best_expert, "fan") << "nothing else is known";
}

// Top 1 sends every text to the judge; the critic alone is run beside it.
TEST_F(RunTest, WhatTopKLeavesOutIsRunUncounted) {
  const DomainFigures run = this->run(fusion::Mode::kMixture, 1);
  EXPECT_THAT(run.answer, Each(2));
  EXPECT_THAT(run.expert_answer, ElementsAre(0, 1, 0, 0));
  EXPECT_EQ(toy.installed(Toy::kCritic).calls, 0);
  EXPECT_EQ(toy.installed(Toy::kJudge).calls, 4);
  EXPECT_THAT(run.uniform_gate, IsEmpty()) << "not every expert answered";
  EXPECT_THAT(run.equal_shares, IsEmpty()) << "nor did those of the space";
}

// By position: bad and civil .265 + .25 of one; good and criminal .385 + .125 of two.
TEST_F(RunTest, AFusionThatNeedsTheDomainAnswersOnlyWithIt) {
  const DomainFigures run = this->run(fusion::Mode::kMasked);
  EXPECT_THAT(run.answer, IsEmpty());
  EXPECT_THAT(run.answer_aware, ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(run.uniform_gate, IsEmpty());
}

}  // namespace
}  // namespace moecollab::evaluation
