#include "pipeline/predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "torch/toy_pool.h"
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

// By hand: softmax(logits / T) of each expert, the greater share first.
TEST_F(PredictorTest, OpinionsAreWhatTheExpertsSayAlone) {
  Collaboration asked = collaboration();
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const Answers answers = asked.answer(views);
  EXPECT_TRUE(Predictor(asked, {}).submit(texts).get().front().opinions.empty());
  const std::vector<Prediction> all = Predictor(asked, {.opinions = true}).submit(texts).get();
  for (size_t i = 0; i < all.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    ASSERT_EQ(all[i].opinions.size(), 2U);
    EXPECT_GE(all[i].shares[all[i].opinions[0].expert], all[i].shares[all[i].opinions[1].expert]);
    for (const Prediction::Opinion& opinion : all[i].opinions) {
      const double temperature = opinion.expert == 0 ? 1.0 : 2.0;
      const at::Tensor p = at::softmax(answers.logits[opinion.expert][row] / temperature, 0);
      const auto best = p.argmax().item<int64_t>();
      EXPECT_EQ(opinion.answer.label, best == 0 ? "no" : "yes");
      EXPECT_EQ(opinion.answer.space, opinion.expert == 0 ? "films/1" : "courts/1");
      EXPECT_FLOAT_EQ(opinion.answer.probability, p[best].item<float>());
      const bool own = opinion.answer.space == all[i].answer.space;
      ASSERT_EQ(opinion.of_answer.has_value(), own);
      if (own) {
        EXPECT_FLOAT_EQ(*opinion.of_answer, p[all[i].answer.label == "no" ? 0 : 1].item<float>());
      }
    }
    const at::Tensor g = at::softmax(answers.router_logits[row], 0);
    EXPECT_NEAR(all[i].entropy, -(g * g.log()).sum().item<double>(), 1e-5);
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
        wrong += predictor.submit_here({texts[first]}).get().at(0).answer.label != labels[first];
        wrong += answers.size() != 2 || answers[0].answer.label != labels[first] ||
                 answers[1].answer.label != labels[second];
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(predictor.submit({}).get().empty());
}

TEST_F(PredictorTest, ALoneTextIsAnsweredOnTheThreadThatBringsIt) {
  Collaboration asked = collaboration();
  Predictor predictor(asked, {});
  const auto now = std::chrono::seconds(0);
  for (const std::string& text : texts) {
    auto here = predictor.submit_here({text});
    ASSERT_EQ(here.wait_for(now), std::future_status::ready);
    EXPECT_EQ(here.get().at(0).shares, predictor.submit({text}).get().at(0).shares);
  }
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

// Three experts in memory at the shares .5, .3 and .2; the probabilities are those of
// collaboration_test.cpp.
// On one thread, so that experts are asked in their order.
struct ToyPredictorTest : ::testing::Test {
  static PoolOptions one_thread() {
    PoolOptions options;
    options.compute.threads = 1;
    return options;
  }
  Collaboration collaboration(int64_t top_k = 0) {
    return {toy.pool(), open_gate(toy.constant_gate(), toy.pool()), fusion::Mode::kMixture, top_k};
  }

  moecollab::testing::TinyEncoder tiny;
  moecollab::testing::ToyPool toy{tiny, "", one_thread()};
};

TEST_F(ToyPredictorTest, TheLikeliestLabelsInOrderWithTheirSpaces) {
  Collaboration asked = collaboration();
  Predictor predictor(asked, {.alternatives = 2});
  EXPECT_THAT(predictor.experts(), ::testing::ElementsAre("critic", "fan", "judge"));
  const Prediction said = predictor.submit({"a play"}).get().at(0);
  EXPECT_EQ(said.answer.label, "bad");
  EXPECT_EQ(said.answer.space, "film/1");
  EXPECT_NEAR(said.answer.probability, .435, 1e-6);
  ASSERT_EQ(said.alternatives.size(), 2U);
  EXPECT_EQ(said.alternatives[0].label, "good");
  EXPECT_NEAR(said.alternatives[0].probability, .365, 1e-6);
  EXPECT_EQ(said.alternatives[1].label, "civil");
  EXPECT_EQ(said.alternatives[1].space, "court/1");
  EXPECT_NEAR(said.alternatives[1].probability, .1, 1e-6);
  const std::array<double, 3> expected = {.5, .3, .2};
  ASSERT_EQ(said.shares.size(), expected.size());
  for (size_t e = 0; e < 3; ++e) EXPECT_NEAR(said.shares[e], expected[e], 1e-6) << e;
}

TEST_F(ToyPredictorTest, MoreAlternativesThanLabelsAreAllLabels) {
  Collaboration asked = collaboration(1);
  Predictor predictor(asked, {.alternatives = 9});
  const Prediction said = predictor.submit({"a play"}).get().at(0);
  EXPECT_NEAR(said.answer.probability, .75, 1e-6);
  EXPECT_EQ(said.alternatives.size(), 4U);
}

// The entropy of the shares is −.5·ln .5 − .3·ln .3 − .2·ln .2 = 1.0297 nats, whatever top-k is.
TEST_F(ToyPredictorTest, TheEntropyOfTheSharesTellsAnUnknownDomain) {
  Collaboration asked = collaboration(1);
  for (const auto& [threshold, unknown] : {std::pair{1.029, true}, std::pair{1.030, false}}) {
    Predictor predictor(asked, {.unknown_entropy = threshold});
    EXPECT_EQ(predictor.submit({"a play"}).get().at(0).unknown_domain, unknown) << threshold;
  }
}

TEST_F(ToyPredictorTest, ALargeRequestIsNotSplit) {
  Collaboration asked = collaboration();
  const std::vector<std::string> texts = {"one", "two", "three"};
  Predictor predictor(asked, {.batch = 2});
  EXPECT_EQ(predictor.submit(texts).get().size(), 3U);
  EXPECT_EQ(toy.expert(0).passes, 1);
  EXPECT_EQ(toy.expert(0).asked, texts);
}

// Holds the first pass of the critic until the test lets it go.
struct BusyPredictorTest : ToyPredictorTest {
  BusyPredictorTest() {
    toy.expert(0).before_pass = [this] {
      if (toy.expert(0).passes > 1) return;
      begun.set_value();
      released.get_future().wait();
    };
  }
  std::vector<std::vector<std::string>> passes_of(
      Predictor& predictor,
      const std::vector<std::pair<std::vector<std::string>, bool>>& requests) {
    std::vector<std::future<std::vector<Prediction>>> futures;
    futures.push_back(predictor.submit({"first"}));
    begun.get_future().wait();
    for (const auto& [texts, may_share] : requests)
      futures.push_back(predictor.submit(texts, may_share));
    std::vector<std::vector<std::string>> passes;
    size_t seen = 0;
    auto& critic = toy.expert(0);
    auto& fan = toy.expert(1);  // asked after the critic, so a pass is whole when it is asked
    fan.before_pass = [&] {
      passes.emplace_back(critic.asked.begin() + static_cast<ptrdiff_t>(seen), critic.asked.end());
      seen = critic.asked.size();
    };
    released.set_value();
    for (size_t i = 0; i < futures.size(); ++i)
      EXPECT_EQ(futures[i].get().size(), i == 0 ? 1 : requests[i - 1].first.size());
    return passes;
  }

  std::promise<void> begun, released;
};

TEST_F(BusyPredictorTest, WhatWaitsTogetherSharesABatch) {
  Collaboration asked = collaboration();
  Predictor predictor(asked, {.batch = 3});
  const std::vector<std::vector<std::string>> expected = {{"first"}, {"a", "b", "c"}, {"d", "e"}};
  EXPECT_EQ(passes_of(predictor, {{{"a"}, true}, {{"b", "c"}, true}, {{"d"}, true}, {{"e"}, true}}),
            expected);
}

TEST_F(BusyPredictorTest, ARequestThatMayNotShareIsABatch) {
  Collaboration asked = collaboration();
  Predictor predictor(asked, {.batch = 9});
  const std::vector<std::vector<std::string>> expected = {{"first"}, {"a"}, {"b"}, {"c", "d"}};
  EXPECT_EQ(passes_of(predictor, {{{"a"}, true}, {{"b"}, false}, {{"c"}, true}, {{"d"}, true}}),
            expected);
}

TEST_F(BusyPredictorTest, WhatIsDroppedIsNotAnswered) {
  Collaboration asked = collaboration();
  Predictor predictor(asked, {});
  auto first = predictor.submit({"first"});
  begun.get_future().wait();
  auto second = predictor.submit({"second"});
  predictor.drop_waiting();
  released.set_value();
  EXPECT_EQ(first.get().size(), 1U);
  EXPECT_THROW(second.get(), std::future_error);
  EXPECT_THAT(toy.expert(0).asked, ::testing::ElementsAre("first"));
  EXPECT_EQ(predictor.submit({"third"}).get().size(), 1U);
}

TEST_F(ToyPredictorTest, AnErrorReachesWhoAskedAndTheThreadContinues) {
  Collaboration asked = collaboration();
  Predictor predictor(asked, {});
  toy.expert(1).fails = true;
  auto first = predictor.submit({"one"});
  try {
    first.get();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "expert fan: out of order");
  }
  toy.expert(1).fails = false;
  EXPECT_EQ(predictor.submit({"one"}).get().at(0).answer.label, "bad");
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
