// Texts go as deep as their experts read, and are answered as if all went as deep as any.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "pipeline/predictor.h"
#include "torch/toy_pool.h"

namespace moecollab::pipeline {
namespace {

using moecollab::testing::TinyEncoder;
using ::testing::ElementsAre;
using Toy = moecollab::testing::ToyPool;
using Texts = std::vector<std::string_view>;

// Answers by what it reads: the sum of its features counts for the first label.
class ReadingExpert final : public moecollab::testing::UntaughtExpert {
 public:
  ReadingExpert(std::string name, int32_t classes, encoder::FeatureRequest request) {
    facts_.name = std::move(name);
    facts_.classes = classes;
    facts_.request = std::move(request);
  }

  const experts::ExpertFacts& facts() const override { return facts_; }
  at::Tensor forward(const encoder::Features& rows) override {
    at::Tensor out = at::zeros({rows.rows(), classes()});
    for (const encoder::PooledKey& key : request().pooled)
      out.select(1, 0) += rows.pooled.at(key).abs().sum(1);
    for (const int layer : request().hidden) {
      for (int64_t row = 0; row < rows.rows(); ++row) {
        out[row][0] += rows.hidden.at(layer)
                           .narrow(0, rows.row_offsets[static_cast<size_t>(row)], rows.tokens(row))
                           .abs()
                           .sum();
      }
    }
    return out / 100;
  }

 private:
  experts::ExpertFacts facts_;
};

// The gate reads the embeddings. The critic reads the states of layer 1, the fan those and means of
// layer 2, the judge texts alone.
struct CascadeTest : ::testing::Test {
  CascadeTest() {
    replace(Toy::kCritic, {{}, {1}, false});
    replace(Toy::kFan, {{{0, encoder::Pooling::kMean}, {2, encoder::Pooling::kMean}}, {1}, true});
  }
  void replace(size_t e, encoder::FeatureRequest request) {
    InstalledExpert& installed = toy.installed(e);
    installed.expert = std::make_unique<ReadingExpert>(installed.name, installed.expert->classes(),
                                                       std::move(request));
  }
  Collaboration collaboration(int64_t top_k) {
    GateFile file = toy.reading_gate();
    const encoder::PooledKey early{0, encoder::Pooling::kMean};
    const at::Tensor z =
        features_of(toy.pool(), texts, {{early}, {}, false}).pooled.at(early).clone();
    file.gate = gate::make_gate({early}, z, 3);
    file.gate.weight = at::sin(at::arange(3 * TinyEncoder::kHidden, at::kFloat) * 7)
                           .view({3, TinyEncoder::kHidden});
    return {toy.pool(), open_gate(file, toy.pool()), fusion::Mode::kMixture, top_k};
  }
  // After one pass through all layers over every text.
  Answers answer_whole(Collaboration& asked) {
    const encoder::FeatureRequest all{
        {{0, encoder::Pooling::kMean}, {2, encoder::Pooling::kMean}}, {1}, true};
    RoutedTexts routed =
        asked.route(features_of(toy.pool(), texts, all), asked.recall_outputs(texts));
    return asked.answer(routed);
  }
  int64_t blocks() const { return toy.pool().encoder()->counters().blocks; }

  TinyEncoder tiny;
  mutable Toy toy{tiny};
  const Texts texts = {"the film",
                       "a very good match of the play",
                       "not bad",
                       "good film",
                       "the court rule of the song",
                       "pain drug pain",
                       "zzz",
                       "bad play"};
};

TEST_F(CascadeTest, AnswersAreThoseOfAFullPassOverEveryText) {
  for (const int64_t top_k : {0, 1, 2}) {
    Collaboration asked = collaboration(top_k);
    const Answers expected = answer_whole(asked), answers = asked.answer(texts);
    EXPECT_TRUE(answers.weights.equal(expected.weights)) << top_k;
    EXPECT_TRUE(answers.fused.equal(expected.fused)) << top_k;
    for (size_t e = 0; e < Toy::kExperts; ++e)
      EXPECT_TRUE(answers.logits[e].equal(expected.logits[e])) << top_k << " expert " << e;
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      const at::Tensor alone = asked.answer(Texts{texts[i]}).fused[0];
      EXPECT_TRUE(alone.exp().allclose(expected.fused[row].exp(), 1e-5, 1e-6)) << texts[i];
    }
  }
}

TEST_F(CascadeTest, EachTextGoesAsDeepAsItsExpertsRead) {
  Collaboration asked = collaboration(1);
  const int64_t before = blocks();
  const at::Tensor chosen = asked.answer(texts).weights.argmax(1);
  std::vector<int64_t> sent(Toy::kExperts);
  for (int64_t row = 0; row < chosen.size(0); ++row)
    ++sent[static_cast<size_t>(chosen[row].item<int64_t>())];
  for (const int64_t count : sent) ASSERT_GT(count, 0) << "the test needs texts for each expert";
  EXPECT_EQ(blocks() - before, sent[Toy::kCritic] * 1 + sent[Toy::kFan] * 2);
}

TEST_F(CascadeTest, WithoutAChoiceEveryTextGoesToTheLastLayer) {
  Collaboration asked = collaboration(0);
  const int64_t before = blocks();
  const std::vector<Outputs> known = asked.recall_outputs(texts);
  EXPECT_FALSE(asked.request(known).stop_at.has_value());
  EXPECT_TRUE(collaboration(1).request(known).stop_at.has_value());
  asked.answer(texts);
  EXPECT_EQ(blocks() - before, std::ssize(texts) * 2);
}

TEST_F(CascadeTest, WhatOthersReadIsEncodedOfEveryText) {
  Collaboration asked = collaboration(1);
  const encoder::FeatureRequest others[] = {{{{2, encoder::Pooling::kCls}}, {}, false}};
  RoutedTexts routed = asked.route(texts, asked.recall_outputs(texts), others);
  const encoder::Features read = routed.encoded.select(others[0]);
  EXPECT_EQ(read.rows(), std::ssize(texts));
  EXPECT_TRUE(
      read.pooled.at({2, encoder::Pooling::kCls})
          .equal(features_of(toy.pool(), texts, others[0]).pooled.at({2, encoder::Pooling::kCls})));
  EXPECT_TRUE(asked.answer(routed).fused.equal(asked.answer(texts).fused));
}

TEST_F(CascadeTest, APredictorAnswersTheSame) {
  Collaboration asked = collaboration(1);
  const at::Tensor fused = answer_whole(asked).fused;
  Predictor predictor(asked, {.batch = 3});
  std::vector<std::future<std::vector<Prediction>>> futures;
  for (const std::string_view text : texts)
    futures.push_back(predictor.submit({std::string(text)}));
  for (size_t i = 0; i < texts.size(); ++i) {
    const double best = fused[static_cast<int64_t>(i)].exp().max().item<double>();
    EXPECT_NEAR(futures[i].get().at(0).answer.probability, best, 1e-5) << texts[i];
  }
}

}  // namespace
}  // namespace moecollab::pipeline
