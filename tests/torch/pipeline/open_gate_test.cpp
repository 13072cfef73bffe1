#include "pipeline/open_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "torch/toy_registry.h"

namespace moecollab::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct OpenGateTest : ::testing::Test {
  std::string code_of(const GateFile& gate) {
    try {
      open_gate(gate, pool);
    } catch (const Error& error) {
      return error.code();
    }
    return "none";
  }

  moecollab::testing::TinyEncoder tiny;
  moecollab::testing::ToyRegistry toy{tiny};
  CollectingLog said{Log()};
  Pool pool{toy.options({said.log(), {}})};
  GateFile file = toy.gate_for(pool);
};

TEST_F(OpenGateTest, AllRowsWithTheirExpertsAtTheirTemperatures) {
  const RoutedGate routed = open_gate(file, pool);
  EXPECT_EQ(routed.experts[1], &pool.experts()[1]);
  EXPECT_EQ(routed.rows[1].name, pool.experts()[1].name);
  EXPECT_EQ(routed.labels[1].temperature, 2.0);
  EXPECT_TRUE(routed.gate.weight.equal(file.gate.weight));
  EXPECT_THAT(routed.dropped, IsEmpty());
  EXPECT_THAT(routed.unrouted, IsEmpty());
  EXPECT_THAT(said.texts(), IsEmpty());
}

TEST_F(OpenGateTest, AnotherPrecisionThanThePoolsIsRefusedUnlessItIsPermitted) {
  file.precision = Precision::kInt8;
  EXPECT_EQ(code_of(file), "E_GATE");
  EXPECT_EQ(open_gate(file, pool, {}, OtherPrecision::kPermitted).experts.size(), 2U);
}

TEST_F(OpenGateTest, AGateOfAnotherDeviceOpensWithANote) {
  file.device = DeviceType::kCuda;
  EXPECT_EQ(open_gate(file, pool).experts.size(), 2U);
  EXPECT_THAT(said.texts(), ElementsAre(HasSubstr("fitted on features of cuda and is used on those "
                                                  "of cpu")));
}

TEST_F(OpenGateTest, ALayerThatTheEncoderDoesNotHaveIsRefused) {
  for (const int layer : {-1, 3}) {
    file.gate.features = {{layer, encoder::Pooling::kMean}};
    EXPECT_EQ(code_of(file), "E_GATE") << layer;
  }
}

TEST_F(OpenGateTest, NeitherFileNorPoolIsChanged) {
  file.rows[0].name = "gone";
  const at::Tensor weight = file.gate.weight.clone();
  open_gate(file, pool);
  EXPECT_EQ(file.rows.size(), 2U);
  EXPECT_TRUE(file.gate.weight.equal(weight));
  for (const InstalledExpert& expert : pool.experts()) EXPECT_EQ(expert.labels.temperature, 1.0);
}

TEST_F(OpenGateTest, ARowWithoutAnExpertIsDroppedAndAnExpertWithoutARowIsUnrouted) {
  file.rows[0].name = "gone";
  const RoutedGate routed = open_gate(file, pool);
  EXPECT_THAT(routed.dropped, ElementsAre("gone"));
  EXPECT_THAT(routed.unrouted, ElementsAre(pool.experts()[0].name));
  ASSERT_EQ(routed.experts.size(), 1U);
  EXPECT_EQ(routed.experts[0], &pool.experts()[1]);
  EXPECT_TRUE(routed.gate.weight.equal(file.gate.weight.narrow(0, 1, 1)));
  EXPECT_TRUE(routed.gate.bias.equal(file.gate.bias.narrow(0, 1, 1)));
  EXPECT_THAT(said.texts(), ElementsAre(HasSubstr("gone has a row in the gate but is not ready"),
                                        HasSubstr("has no row in the gate")));
}

TEST_F(OpenGateTest, AnExpertThatIsAboutToGrowIsNotUnrouted) {
  file.rows[0].name = "gone";
  const std::vector<std::string> growing = {pool.experts()[0].name};
  EXPECT_THAT(open_gate(file, pool, growing).unrouted, IsEmpty());
}

TEST_F(OpenGateTest, WhatTheGateWasNotFittedForIsRefused) {
  EXPECT_EQ(code_of(file), "none");
  GateFile other_encoder = file, nobody = file;
  other_encoder.encoder_fingerprint[0] ^= 1;
  EXPECT_EQ(code_of(other_encoder), "E_GATE");
  for (GateRow& row : nobody.rows) row.name = "gone";
  EXPECT_EQ(code_of(nobody), "E_GATE");
}

TEST_F(OpenGateTest, ARowOfAPackageThatIsNotHereIsLeftOutAndNobodyIsStopped) {
  file.rows[1].sha256[0] ^= 1;
  const RoutedGate routed = open_gate(file, pool);
  EXPECT_THAT(routed.experts, ElementsAre(&pool.experts()[0]));
  EXPECT_THAT(routed.dropped, ElementsAre(file.rows[1].name));
  EXPECT_THAT(routed.unrouted, IsEmpty());
  ASSERT_EQ(routed.unfitted.size(), 1U);
  EXPECT_EQ(routed.unfitted[0].standing.kind, GateStanding::Kind::kMismatch);
  EXPECT_THAT(said.texts(), ElementsAre(HasSubstr("takes no part, the others share its weight")));
  EXPECT_THROW(require_fitted(routed), Error);
  // What another precision does was measured with the other package.
  file.precision = Precision::kInt8;
  try {
    open_gate(file, pool, {}, OtherPrecision::kPermitted);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_GATE");
    EXPECT_THAT(error.what(), HasSubstr("fp32 was not measured with expert"));
  }
}

struct TwoFactorsTest : OpenGateTest {
  TwoFactorsTest() {
    file.gate.spaces = {0, 1};
    file.gate.space_weight = at::zeros({2, file.gate.mean.size(0)});
    file.gate.space_bias = at::zeros({2});
    for (size_t e = 0; e < 2; ++e) {
      const auto space = static_cast<size_t>(pool.experts()[e].labels.space);
      file.rows[e].space = pool.labels().spaces()[space].name;
      file.rows[e].pool = fusion::OpinionPool::kLogarithmic;
    }
  }
  std::string refusal() {
    try {
      open_gate(file, pool);
    } catch (const Error& error) {
      return error.code() + ": " + error.what();
    }
    return "none";
  }
};

TEST_F(TwoFactorsTest, AreOpenedWithTheirPools) {
  EXPECT_EQ(refusal(), "none");
  EXPECT_EQ(open_gate(file, pool).labels[1].pool, fusion::OpinionPool::kLogarithmic);
  EXPECT_EQ(pool.experts()[1].labels.pool, fusion::OpinionPool::kLinear);
}

TEST_F(TwoFactorsTest, SpacesThatAreNotTheExpertsAreRefused) {
  std::swap(file.rows[0].space, file.rows[1].space);
  EXPECT_THAT(refusal(), HasSubstr("E_GATE: gate.toml has expert " + file.rows[0].name));
}

// It pooled logarithms when the space had fewer labels.
TEST_F(TwoFactorsTest, AnExpertThatDoesNotKnowAllLabelsIsRefused) {
  pool.experts()[1].labels.columns.pop_back();
  EXPECT_THAT(refusal(), HasSubstr("knows 1 of its 2 labels"));
  file.rows[1].pool = fusion::OpinionPool::kLinear;
  EXPECT_EQ(refusal(), "none");
}

TEST_F(TwoFactorsTest, AnExpertWithoutARowIsToldTheWayThatThereIs) {
  file.rows[0].name = "gone";
  open_gate(file, pool);
  EXPECT_THAT(said.texts().back(), HasSubstr("takes no part; fit it with `moecollab grow "));
}

TEST_F(TwoFactorsTest, TwoPoolsOfOneSpaceAreRefused) {
  file.rows[1].space = file.rows[0].space;
  file.rows[1].pool = fusion::OpinionPool::kLinear;
  EXPECT_THAT(refusal(), HasSubstr("in two ways: logarithmic for " + file.rows[0].name));
}

}  // namespace
}  // namespace moecollab::pipeline
