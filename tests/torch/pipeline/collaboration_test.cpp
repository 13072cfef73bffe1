// The whole system over experts whose answers are known, against numbers worked out by hand.
#include "pipeline/collaboration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/toy_pool.h"

namespace moecollab::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Toy = moecollab::testing::ToyPool;
using Texts = std::vector<std::string_view>;

const float kNan = std::numeric_limits<float>::quiet_NaN();

struct CollaborationTest : ::testing::Test {
  explicit CollaborationTest(const std::string& more = "") : toy(tiny, more) {}

  Collaboration collaboration(const GateFile& gate, fusion::Mode mode = fusion::Mode::kMixture,
                              int64_t top_k = 0) {
    return {toy.pool(), open_gate(gate, toy.pool()), mode, top_k};
  }
  // The answer to one text at the shares .5, .3 and .2.
  at::Tensor fused(fusion::Mode mode) {
    return collaboration(toy.constant_gate(), mode).answer(Texts{"a play"}).fused;
  }
  // The answers where each text has its own shares.
  Answers answer(const Texts& texts, const std::vector<std::array<float, 3>>& shares,
                 int64_t top_k = 0) {
    Collaboration asked = collaboration(toy.reading_gate(), fusion::Mode::kMixture, top_k);
    RoutedTexts routed = asked.route(Toy::features(texts, shares), asked.recall_outputs(texts));
    return asked.answer(routed);
  }
  static void expect_row(const at::Tensor& row, const std::vector<double>& expected) {
    ASSERT_EQ(row.numel(), static_cast<int64_t>(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(row.flatten()[static_cast<int64_t>(i)].item<double>(), expected[i], 1e-6) << i;
  }
  // What is thrown, as "CODE: message".
  template <typename Call>
  static std::string refused(const Call& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code() + ": " + error.what();
    }
    return "none";
  }

  moecollab::testing::TinyEncoder tiny;
  Toy toy;
};

// bad .5·.75 + .3·.2, good .5·.25 + .3·.8, then .2 of the judge's.
TEST_F(CollaborationTest, Mixture) {
  expect_row(fused(fusion::Mode::kMixture).exp(), {.435, .365, .1, .05, .05});
}

// By position: bad and civil .435 + .1, good and criminal .365 + .05, none .05.
TEST_F(CollaborationTest, Masked) {
  expect_row(fused(fusion::Mode::kMasked).exp(), {.535, .415, .05});
}

// Logits by position: .5·ln 3 + .2·ln 2, .3·ln 4, 0. So the probabilities are in the proportion
// √3·2^.2 : 4^.3 : 1.
TEST_F(CollaborationTest, Paper) {
  const double first = std::sqrt(3) * std::pow(2, .2), second = std::pow(4, .3),
               sum = first + second + 1;
  expect_row(fused(fusion::Mode::kPaper).softmax(-1), {first / sum, second / sum, 1 / sum});
}

// score = Σ g·ln(p·C): bad .5·ln 1.5 + .3·ln .4, good .5·ln .5 + .3·ln 1.6, civil .2·ln 1.5,
// criminal and none .2·ln .75.
TEST_F(CollaborationTest, LogitUnion) {
  std::vector<double> p = {std::pow(1.5, .5) * std::pow(.4, .3),
                           std::pow(.5, .5) * std::pow(1.6, .3), std::pow(1.5, .2),
                           std::pow(.75, .2), std::pow(.75, .2)};
  const double sum = p[0] + p[1] + p[2] + p[3] + p[4];
  for (double& value : p) value /= sum;
  expect_row(fused(fusion::Mode::kLogitUnion).exp(), p);
}

// The fan at temperature 2 says good 2/3, bad 1/3: bad .375 + .3/3, good .125 + .3·2/3.
TEST_F(CollaborationTest, TheTemperatureIsTheGatesRows) {
  GateFile gate = toy.constant_gate();
  gate.rows[Toy::kFan].temperature = 2;
  expect_row(collaboration(gate).answer(Texts{"a play"}).fused.exp(), {.475, .325, .1, .05, .05});
}

TEST_F(CollaborationTest, TopOneAsksOnlyTheRoutedExpert) {
  const Answers answers =
      answer({"one", "two", "three", "four"},
             {{.5F, .3F, .2F}, {.2F, .3F, .5F}, {.3F, .4F, .3F}, {.6F, .2F, .2F}}, 1);
  EXPECT_THAT(toy.expert(Toy::kCritic).asked, ElementsAre("one", "four"));
  EXPECT_THAT(toy.expert(Toy::kFan).asked, ElementsAre("three"));
  EXPECT_THAT(toy.expert(Toy::kJudge).asked, ElementsAre("two"));
  EXPECT_EQ(toy.installed(Toy::kCritic).calls, 2);
  EXPECT_EQ(toy.installed(Toy::kJudge).calls, 1);
  expect_row(answers.weights, {1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0});
  expect_row(answers.fused.exp()[0], {.75, .25, 0, 0, 0});
  expect_row(answers.fused.exp()[1], {0, 0, .5, .25, .25});
  expect_row(answers.fused.exp()[2], {.2, .8, 0, 0, 0});
  expect_row(answers.logits[Toy::kFan], {0, 0, 0, 0, std::log(4), 0, 0, 0});
}

// The two greatest of .5, .3 and .2 are .625 and .375 of their sum: bad .625·.75 + .375·.2.
TEST_F(CollaborationTest, TopTwoShareTheWeightOfTheThird) {
  const Answers answers = answer({"one"}, {{.5F, .3F, .2F}}, 2);
  expect_row(answers.weights, {.625, .375, 0});
  expect_row(answers.fused.exp(), {.54375, .45625, 0, 0, 0});
  EXPECT_THAT(toy.expert(Toy::kJudge).asked, IsEmpty());
}

TEST_F(CollaborationTest, MoreThanAllExpertsIsRefused) {
  EXPECT_EQ(refused([&] {
              answer({"one"}, {{.5F, .3F, .2F}}, 4);
            }),
            "E_CONFIG: top_k is 4, but 3 experts are routed");
}

// The share of the row that is dropped goes to the others in proportion: .4, .24 and .16 of .8.
TEST_F(CollaborationTest, ARowWithoutAnExpertLeavesItsShareToTheOthers) {
  GateFile gate = toy.constant_gate({.4F, .24F, .16F});
  gate.rows.push_back({"gone", "org.example.gone", "1.0.0", std::string(64, '0')});
  gate.gate.weight = at::zeros({4, gate.gate.weight.size(1)});
  gate.gate.bias = at::cat({gate.gate.bias, at::tensor({.2F}).log()});
  const Answers answers = collaboration(gate).answer(Texts{"a play"});
  expect_row(answers.weights, {.5, .3, .2});
  expect_row(answers.fused.exp(), {.435, .365, .1, .05, .05});
}

TEST_F(CollaborationTest, AnExpertThatFailsNamesItself) {
  toy.expert(Toy::kFan).fails = true;
  EXPECT_EQ(refused([&] { fused(fusion::Mode::kMixture); }), "E_OUT: expert fan: out of order");
  EXPECT_EQ(toy.installed(Toy::kFan).calls, 0);
}

TEST_F(CollaborationTest, AnExpertThatAnswersNanIsNamed) {
  toy.expert(Toy::kJudge).answers["two"] = {0, kNan, 0};
  EXPECT_EQ(refused([&] {
              answer({"one", "two"}, {{.5F, .3F, .2F}, {.5F, .3F, .2F}});
            }),
            "E_OUT_NONFINITE: expert judge answered with NaN or infinity");
  EXPECT_EQ(toy.installed(Toy::kJudge).faults, 1);
  EXPECT_EQ(toy.installed(Toy::kCritic).faults, 0);
}

TEST_F(CollaborationTest, AnEmptyBatchAsksNobody) {
  const Answers answers = collaboration(toy.constant_gate()).answer(Texts{});
  EXPECT_EQ(answers.fused.sizes(), (std::vector<int64_t>{0, 5}));
  EXPECT_EQ(answers.weights.sizes(), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(answers.logits[Toy::kJudge].sizes(), (std::vector<int64_t>{0, 3}));
  for (size_t e = 0; e < 3; ++e) EXPECT_EQ(toy.expert(e).passes, 0) << e;
}

TEST_F(CollaborationTest, TheOrderOfTheTextsDoesNotMatter) {
  toy.expert(Toy::kCritic).answers = {{"one", {2, -1}}, {"two", {-3, .5F}}};
  toy.expert(Toy::kJudge).answers = {{"three", {.1F, .2F, .3F}}};
  const Texts texts = {"one", "two", "three"}, turned = {"three", "one", "two"};
  const std::array<float, 3> a = {.5F, .3F, .2F}, b = {.1F, .2F, .7F}, c = {.2F, .6F, .2F};
  for (const int64_t top_k : {0, 2}) {
    const Answers first = answer(texts, {a, b, c}, top_k),
                  second = answer(turned, {c, a, b}, top_k);
    const at::Tensor back = at::tensor({1, 2, 0}, at::kLong);
    EXPECT_TRUE(second.fused.index_select(0, back).equal(first.fused)) << top_k;
    EXPECT_TRUE(second.weights.index_select(0, back).equal(first.weights)) << top_k;
    EXPECT_FALSE(first.fused[0].equal(first.fused[1]));
  }
}

TEST_F(CollaborationTest, WhatIsKnownIsNotAskedForAgain) {
  Collaboration asked = collaboration(toy.constant_gate(), fusion::Mode::kMixture, 1);
  const Texts texts = {"one", "two"};
  std::vector<Outputs> known = asked.recall_outputs(texts);
  known[Toy::kCritic].logits[0] = at::tensor({0.0F, std::log(3.0F)});
  known[Toy::kCritic].to_run = {1};
  RoutedTexts routed = asked.route(texts, std::move(known));
  const Answers answers = asked.answer(routed);
  EXPECT_THAT(toy.expert(Toy::kCritic).asked, ElementsAre("two"));
  EXPECT_THAT(routed.known[Toy::kCritic].to_run, IsEmpty());
  EXPECT_THAT(routed.known[Toy::kFan].to_run, ElementsAre(0, 1)) << "not routed";
  EXPECT_EQ(toy.installed(Toy::kCritic).calls, 2);
  EXPECT_EQ(toy.installed(Toy::kCritic).cached, 1);
  expect_row(answers.fused.exp()[0], {.25, .75, 0, 0, 0});
  expect_row(answers.fused.exp()[1], {.75, .25, 0, 0, 0});
}

struct MaskingCollaborationTest : CollaborationTest {
  MaskingCollaborationTest() : CollaborationTest("[policy]\nnan = \"mask\"\n") {}
};

// Without the judge, .5 and .3 are .625 and .375 of their sum.
TEST_F(MaskingCollaborationTest, ATextLosesTheExpertThatAnsweredNan) {
  toy.expert(Toy::kJudge).answers["two"] = {0, kNan, 0};
  const Answers answers = answer({"one", "two"}, {{.5F, .3F, .2F}, {.5F, .3F, .2F}});
  expect_row(answers.weights, {.5, .3, .2, .625, .375, 0});
  expect_row(answers.fused.exp()[0], {.435, .365, .1, .05, .05});
  expect_row(answers.fused.exp()[1], {.54375, .45625, 0, 0, 0});
  EXPECT_EQ(toy.installed(Toy::kJudge).faults, 1);
}

TEST_F(MaskingCollaborationTest, ATextWithoutAnyExpertIsAnError) {
  toy.expert(Toy::kJudge).answers["two"] = {0, kNan, 0};
  EXPECT_EQ(refused([&] {
              answer({"one", "two"}, {{.5F, .3F, .2F}, {.2F, .3F, .5F}}, 1);
            }),
            "E_OUT_NONFINITE: every expert asked for a text answered with NaN or infinity");
}

struct CappedCollaborationTest : CollaborationTest {
  CappedCollaborationTest()
      : CollaborationTest(
            "[[expert]]\nname = \"critic\"\nid = \"org.example.critic\"\n"
            "version = \"*\"\nweight_cap = 0.4\n") {}
};

// What the critic has above .4 goes to the others by their shares: .1·.3/.5 and .1·.2/.5.
TEST_F(CappedCollaborationTest, AWeightAboveItsCapGoesToTheOthers) {
  expect_row(collaboration(toy.constant_gate()).answer(Texts{"a play"}).weights, {.4, .36, .24});
}

}  // namespace
}  // namespace moecollab::pipeline
