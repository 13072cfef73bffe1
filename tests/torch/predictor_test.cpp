#include "pipeline/predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "torch/toy_registry.h"

namespace moecollab::pipeline {
namespace {

struct PredictorTest : ::testing::Test {
  Collaboration collaboration(fusion::Mode mode = fusion::Mode::kMixture) {
    return {pool, open_gate(toy.gate_for(pool), pool), mode, 0};
  }

  moecollab::testing::TinyEncoder tiny;
  moecollab::testing::ToyRegistry toy{tiny};
  Pool pool{toy.options()};
  const std::vector<std::string> texts = {"good film", "the court rule", "pain drug pain",
                                          "not bad", "very good play"};
};

TEST_F(PredictorTest, APredictionIsWhatTheCollaborationSays) {
  Collaboration asked = collaboration();
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const Answers answers = asked.answer(views);
  Predictor predictor(asked, {.alternatives = 2});
  EXPECT_THAT(predictor.experts(), ::testing::ElementsAre("films", "courts"));
  const std::vector<Prediction> all = predictor.submit(texts).get();
  ASSERT_EQ(all.size(), texts.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const int best = static_cast<int>(answers.fused[row].argmax().item<int64_t>());
    EXPECT_EQ(all[i].answer.label, pool.labels().label(best));
    EXPECT_EQ(all[i].answer.space, best < 2 ? "films/1" : "courts/1");
    EXPECT_FLOAT_EQ(all[i].answer.probability, answers.fused[row][best].exp().item<float>());
    ASSERT_EQ(all[i].alternatives.size(), 2U);
    EXPECT_GE(all[i].answer.probability, all[i].alternatives[0].probability);
    EXPECT_GE(all[i].alternatives[0].probability, all[i].alternatives[1].probability);
    EXPECT_FLOAT_EQ(all[i].shares[1], answers.weights[row][1].item<float>());
    EXPECT_FALSE(all[i].unknown_domain);
  }
}

TEST_F(PredictorTest, RequestsOfManyThreadsKeepTheirRows) {
  Collaboration asked = collaboration();
  Predictor predictor(asked, {.batch = 4});
  std::vector<std::string> labels;
  for (const std::string& text : texts)
    labels.push_back(predictor.submit({text}).get().front().answer.label);
  std::vector<std::thread> clients;
  std::atomic<int> wrong = 0;
  for (size_t client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (size_t round = 0; round < 5; ++round) {
        const size_t first = (client + round) % texts.size(), second = (first + 2) % texts.size();
        const auto answers = predictor.submit({texts[first], texts[second]}).get();
        wrong += answers.size() != 2 || answers[0].answer.label != labels[first] ||
                 answers[1].answer.label != labels[second];
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(predictor.submit({}).get().empty());
}

TEST_F(PredictorTest, WhatWaitsIsAnsweredBeforeTheEnd) {
  Collaboration asked = collaboration();
  std::vector<std::future<std::vector<Prediction>>> futures;
  {
    Predictor predictor(asked, {.batch = 1});
    for (int i = 0; i < 6; ++i) futures.push_back(predictor.submit(texts));
  }
  for (auto& future : futures) EXPECT_EQ(future.get().size(), texts.size());
}

TEST_F(PredictorTest, AnErrorReachesWhoAsked) {
  Collaboration asked = collaboration();
  pool.experts()[0].expert.reset();
  struct Broken final : experts::Expert {
    explicit Broken(experts::ExpertFacts facts) : facts_(std::move(facts)) {}
    const experts::ExpertFacts& facts() const override { return facts_; }
    at::Tensor forward(const encoder::Features&) override { throw Error("E_OUT", "broken"); }
    const std::vector<Parameter>& bind(uint64_t) override { return none_; }
    const std::vector<Parameter>& parameters() const override { return none_; }
    void params_changed() override {}
    at::Tensor forward_train(encoder::Features, uint64_t, std::unique_ptr<Saved>&) override {
      return {};
    }
    void vjp(Saved&, const at::Tensor&) override {}
    experts::SelfFitting* self_fitting() override { return nullptr; }
    bool learns_parameters_only() const override { return true; }
    std::vector<std::pair<std::string, at::Tensor>> learnt() override { return {}; }
    experts::ExpertFacts facts_;
    std::vector<Parameter> none_;
  };
  pool.experts()[0].expert = std::make_unique<Broken>(pool.experts()[1].expert->facts());
  Predictor predictor(asked, {});
  auto first = predictor.submit(texts), second = predictor.submit(texts);
  EXPECT_THROW(first.get(), Error);
  EXPECT_THROW(second.get(), Error) << "the thread continues after an error";
}

TEST_F(PredictorTest, TextsOfHighEntropyAreOfAnUnknownDomain) {
  Collaboration asked = collaboration();
  Predictor predictor(asked, {.unknown_entropy = -1});
  for (const Prediction& prediction : predictor.submit(texts).get())
    EXPECT_TRUE(prediction.unknown_domain);
}

TEST_F(PredictorTest, AFusionThatNeedsTheDomainIsRefused) {
  Collaboration asked = collaboration(fusion::Mode::kMasked);
  EXPECT_THROW(Predictor(asked, {}), Error);
}

TEST(UnknownEntropy, IsThePercentileOfTheRisk) {
  GateFile gate;
  EXPECT_THROW(unknown_entropy(gate, 0.05), Error) << "an old gate has none";
  std::vector<double> percentiles(101);
  for (size_t i = 0; i < percentiles.size(); ++i) percentiles[i] = static_cast<double>(i) / 10;
  gate.metrics["entropy_percentiles"] = percentiles;
  EXPECT_EQ(unknown_entropy(gate, 0.05), 9.5);
  EXPECT_EQ(unknown_entropy(gate, 0), 10);
  EXPECT_EQ(unknown_entropy(gate, 1), 0);
  EXPECT_THROW(unknown_entropy(gate, 1.5), Error);
}

}  // namespace
}  // namespace moecollab::pipeline
