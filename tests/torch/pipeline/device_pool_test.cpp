// The whole pipeline with its encoder on another device than the CPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/predictor.h"
#include "torch/packed_attention.h"
#include "torch/test_device.h"
#include "torch/toy_registry.h"

namespace moecollab::pipeline {
namespace {

using moecollab::testing::TinyEncoder;
using ::testing::Contains;
using ::testing::HasSubstr;

struct DevicePoolTest : ::testing::Test {
  DevicePoolTest() {
    moecollab::testing::use_test_device();
    moecollab::testing::use_packed_attention();
  }
  PoolOptions options_on_device() {
    PoolOptions options = toy.options({said.log(), {}, nullptr});
    options.compute.device = {DeviceType::kPrivateUse1, 0};
    return options;
  }
  Answers answers_of(Pool& pool, int64_t top_k) {
    Collaboration collaboration(pool, open_gate(toy.gate_for(pool), pool), fusion::Mode::kMixture,
                                top_k);
    return collaboration.answer(TinyEncoder::kTexts);
  }

  TinyEncoder tiny;
  moecollab::testing::ToyRegistry toy{tiny};
  CollectingLog said{Log()};
};

TEST_F(DevicePoolTest, AnswersAsOnTheCpu) {
  Pool on_cpu(toy.options()), on_device(options_on_device());
  ASSERT_EQ(on_device.experts().size(), 2U) << "their probe vectors hold on the device";
  for (const int64_t top_k : {0, 1}) {
    const Answers expected = answers_of(on_cpu, top_k);
    moecollab::testing::reset_device_counts();
    const Answers found = answers_of(on_device, top_k);
    EXPECT_GT(moecollab::testing::device_counts().calls["aten::gelu"], 0)
        << "the encoder ran there";
    EXPECT_TRUE(found.weights.is_cpu());
    EXPECT_LT((found.weights - expected.weights).abs().max().item<double>(), 1e-5);
    EXPECT_LT((found.fused - expected.fused).abs().max().item<double>(), 1e-4);
  }
  EXPECT_THAT(said.texts(), Contains(HasSubstr("fitted on features of cpu and is used on those of "
                                               "privateuseone")));
}

}  // namespace
}  // namespace moecollab::pipeline
