#include "conformance/reference_blocks.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <stdexcept>
#include <string>

namespace moecollab::conformance {
namespace {

// Weights of one block of H 2 and I 1, zeros at first; ε is 1, so that norms leave a size.
struct ReferenceBlocksTest : ::testing::Test {
  ReferenceBlocksTest() {
    config.hidden = 2;
    config.heads = 1;
    config.intermediate = 1;
    config.ln_eps = 1;
    for (const char* part : {"attention.self.query", "attention.self.key", "attention.self.value",
                             "attention.output.dense", "intermediate.dense", "output.dense",
                             "attention.output.LayerNorm", "output.LayerNorm"}) {
      for (const char* kind : {".weight", ".bias"}) {
        const std::string name = part + std::string(kind);
        shapes[name] = block_weight_shape(config, name);
        values[name] = std::vector<float>(4, 0.0F);
      }
    }
    values["attention.output.LayerNorm.weight"] = {1, 1};
    values["output.LayerNorm.weight"] = {1, 1};
  }

  ReferenceBlocks blocks() {
    std::vector<std::string> full;
    for (const auto& [name, shape] : shapes) full.push_back("0." + name);
    std::vector<moec_string> names;
    for (const std::string& name : full) names.push_back({name.data(), name.size()});
    std::vector<moec_tensor> views;
    for (auto& [name, shape] : shapes) {
      moec_tensor& view = views.emplace_back();
      view = {};
      view.data = values.at(name).data();
      view.ndim = static_cast<int32_t>(shape.size());
      view.type_code = MOEC_FLOAT;
      view.type_bits = 32;
      view.shape = shape.data();
    }
    return {config, 1, names.size(), names.data(), views.data()};
  }
  std::string refusal() {
    try {
      blocks();
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "none";
  }

  encoder::BertConfig config;
  std::map<std::string, std::vector<int64_t>> shapes;
  std::map<std::string, std::vector<float>> values;
};

// [1, 3] lies 1 about its mean, so the first norm gives ±1/√2. The second element gets act(1.5); of
// two values ±d about their mean the last norm gives ±d/√(d² + 1), d = (√2 + act(1.5))/2.
TEST_F(ReferenceBlocksTest, FeedForwardByHand) {
  values["intermediate.dense.bias"] = {1.5F};
  values["output.dense.weight"] = {0, 1};
  const std::pair<const char*, float> expected[] = {
      {"gelu", 0.8151015F}, {"gelu_tanh", 0.8150803F}, {"relu", 0.8245068F}, {"silu", 0.7971555F}};
  for (const auto& [activation, value] : expected) {
    config.activation = activation;
    const std::vector<float> mean = blocks().mean(std::vector<float>{1, 3});
    EXPECT_NEAR(mean[1], value, 2e-6) << activation;
    EXPECT_NEAR(mean[0], -value, 2e-6) << activation;
  }
}

// Query and key are 0, so both tokens attend equally: to the first elements -1 and 5, their mean 2,
// which is what each gets in its second element: [-1, 1 + 2] and [5, -5 + 2]. The first norm makes
// ±d/√(d² + 1) of d = 2 and d = -4, the second again.
TEST_F(ReferenceBlocksTest, AttentionByHand) {
  values["attention.self.value.weight"] = {0, 0, 1, 0};
  values["attention.output.dense.weight"] = {1, 0, 0, 1};
  const auto norm = [](double d) { return d / std::sqrt(d * d + 1); };
  const std::vector<float> mean = blocks().mean(std::vector<float>{-1, 1, 5, -5});
  EXPECT_NEAR(mean[1], (norm(norm(2)) + norm(norm(-4))) / 2, 1e-6);
  EXPECT_NEAR(mean[0], -mean[1], 1e-6);
}

TEST_F(ReferenceBlocksTest, RefusalsNameTheWeight) {
  EXPECT_EQ(refusal(), "none");
  shapes["intermediate.dense.weight"] = {2, 1};
  EXPECT_EQ(refusal(), "0.intermediate.dense.weight is [2, 1], expected float32 [1, 2]");
  shapes.erase("intermediate.dense.weight");
  EXPECT_EQ(refusal(), "0.intermediate.dense.weight is missing");
}

}  // namespace
}  // namespace moecollab::conformance
