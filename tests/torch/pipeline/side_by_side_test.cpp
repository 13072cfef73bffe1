// Experts that are asked at the same time, with the same answers: those that are the host's own
// code about many texts, and all that compute little about a lone one.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "torch/toy_pool.h"
#include "torch/toy_registry.h"

namespace moecollab::pipeline {
namespace {

using ::testing::HasSubstr;
using Texts = std::vector<std::string_view>;
using moecollab::testing::TinyEncoder;
using moecollab::testing::ToyPool;

// Two threads for as long as it lives.
class TwoThreads {
 public:
  TwoThreads() { at::set_num_threads(2); }
  ~TwoThreads() { at::set_num_threads(before_); }

 private:
  int before_ = at::get_num_threads();
};

// As many texts as there are threads for: 300 for each of the experts.
struct SideBySideTest : ::testing::Test {
  static Texts texts(size_t n = 300) {
    Texts texts;
    for (size_t i = 0; i < n; ++i) texts.push_back(TinyEncoder::kTexts[i % 5]);
    return texts;
  }
  Answers answer(ToyPool& toy, size_t n = 300) {
    Collaboration asked(toy.pool(), open_gate(toy.constant_gate(), toy.pool()),
                        fusion::Mode::kMixture, 0);
    return asked.answer(texts(n));
  }
  // How many of the experts were in a pass at once.
  int together(ToyPool& toy, size_t n) {
    std::atomic<int> inside = 0, most = 0;
    for (size_t e = 0; e < ToyPool::kExperts; ++e) {
      toy.expert(e).before_pass = [&] {
        const int now = ++inside;
        if (now > most) most = now;
        for (int i = 0; i < 200 && most < 2; ++i)
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        --inside;
      };
    }
    answer(toy, n);
    return most;
  }
  static void be_host_code(ToyPool& toy) {
    for (size_t e = 0; e < ToyPool::kExperts; ++e) toy.expert(e).host_code = true;
  }

  TwoThreads threads;
  TinyEncoder tiny;
};

TEST_F(SideBySideTest, OnlyHostCodeAndOnlyIfThereIsEnoughOfIt) {
  ToyPool toy(tiny);
  EXPECT_EQ(together(toy, 300), 1);
  be_host_code(toy);
  EXPECT_EQ(together(toy, 170), 1);
  EXPECT_EQ(together(toy, 171), 2);
}

TEST_F(SideBySideTest, WhoComputesLittleAboutALoneText) {
  ToyPool toy(tiny);
  EXPECT_EQ(together(toy, 2), 1);
  EXPECT_EQ(together(toy, 1), 2);
  for (size_t e = 0; e < 2; ++e) toy.expert(e).hidden_layer = 1;  // it uses all threads itself
  EXPECT_EQ(together(toy, 1), 1);
}

TEST_F(SideBySideTest, AnswersAndCountsAreThoseOfOneByOne) {
  const std::string mask = "[policy]\nnan = \"mask\"\n";
  ToyPool one(tiny, mask), many(tiny, mask);
  be_host_code(many);
  std::vector<Answers> answers;
  for (ToyPool* toy : {&one, &many}) {
    toy->expert(ToyPool::kFan).answers["not bad"] = {std::numeric_limits<float>::quiet_NaN(), 0};
    answers.push_back(answer(*toy));
  }
  EXPECT_TRUE(answers[0].fused.equal(answers[1].fused));
  EXPECT_TRUE(answers[0].weights.equal(answers[1].weights));
  for (size_t e = 0; e < ToyPool::kExperts; ++e) {
    EXPECT_TRUE(answers[0].logits[e].equal(answers[1].logits[e])) << e;
    EXPECT_EQ(many.installed(e).calls, 300);
    EXPECT_EQ(many.installed(e).faults, e == ToyPool::kFan ? 60 : 0);
    EXPECT_EQ(many.expert(e).passes, 1);
    EXPECT_EQ(one.installed(e).faults, many.installed(e).faults);
  }
}

TEST_F(SideBySideTest, NanIsRefusedAndCountedAsOneByOne) {
  ToyPool toy(tiny);
  be_host_code(toy);
  toy.expert(ToyPool::kFan).answers["not bad"] = {std::numeric_limits<float>::quiet_NaN(), 0};
  try {
    answer(toy);
    FAIL() << "no refusal";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_OUT_NONFINITE");
    EXPECT_THAT(error.what(), HasSubstr("expert fan"));
  }
  EXPECT_EQ(toy.installed(ToyPool::kCritic).calls, 300);
  EXPECT_EQ(toy.installed(ToyPool::kFan).faults, 1);
  EXPECT_EQ(toy.installed(ToyPool::kJudge).calls, 0) << "who comes later was not asked";
}

// What is cached already is not asked for again.
TEST_F(SideBySideTest, CachedAnswersAreCounted) {
  const TemporaryFolder folder;
  PoolOptions options;
  options.cache = std::make_shared<encoder::FeatureCache>(folder.path(), "a test's engine", Log());
  ToyPool toy(tiny, "", options);
  be_host_code(toy);
  std::vector<std::string> distinct;
  for (int i = 0; i < 300; ++i) distinct.push_back(fmt::format("film {}", i));
  const Texts all(distinct.begin(), distinct.end());
  Collaboration asked(toy.pool(), open_gate(toy.constant_gate(), toy.pool()),
                      fusion::Mode::kMixture, 0);
  asked.answer(std::span(all).first(100));
  const at::Tensor fused = asked.answer(all).fused;
  for (size_t e = 0; e < ToyPool::kExperts; ++e) {
    EXPECT_EQ(toy.installed(e).calls, 400);
    EXPECT_EQ(toy.installed(e).cached, 100);
    EXPECT_EQ(toy.expert(e).asked.size(), 300U);
  }
  EXPECT_TRUE(asked.answer(all).fused.equal(fused));
}

// Batches of 300 texts are shared by the threads, those of 60 are not.
TEST_F(SideBySideTest, AdaptersGiveTheSameBits) {
  const moecollab::testing::ToyRegistry registry(tiny);
  for (const int64_t top_k : {0, 1}) {
    Pool pool(registry.options());
    for (const InstalledExpert& expert : pool.experts()) ASSERT_TRUE(expert.expert->is_host_code());
    Collaboration asked(pool, open_gate(registry.gate_for(pool), pool), fusion::Mode::kMixture,
                        top_k);
    const Texts all = texts(600);
    const Answers together = asked.answer(all);
    EXPECT_EQ(pool.experts()[0].calls + pool.experts()[1].calls, top_k == 0 ? 1200 : 600);
    for (size_t first = 0; first < all.size(); first += 60) {
      const Answers part = asked.answer(std::span(all).subspan(first, 60));
      const auto row = static_cast<int64_t>(first);
      EXPECT_TRUE(part.fused.equal(together.fused.narrow(0, row, 60)));
      for (size_t e = 0; e < 2; ++e)
        EXPECT_TRUE(part.logits[e].equal(together.logits[e].narrow(0, row, 60))) << top_k << e;
    }
  }
}

}  // namespace
}  // namespace moecollab::pipeline
