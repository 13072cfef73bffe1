#include <gmock/gmock.h>

#include <cmath>

#include "plugin/adapter_fixture.h"

namespace moecollab::plugin_test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using Adapter = AdapterFixture;

// u = (1.5, -1), relu(u) = (1.5, 0), h' = (1 + 3 + 0.1, 2 + 0 - 0.1) = (4.1, 1.9).
TEST_F(Adapter, ForwardIsEquationOne) {
  ExpertSpec spec = adapter_spec(2, 2, 2);
  add_small_weights(spec);
  const Floats h({1, 2}, {1, 2});
  const auto y = LoadedExpert(library_, spec).forward(Batch(h));
  EXPECT_NEAR(y[0], 6.0, 1e-6);
  EXPECT_NEAR(y[1], 1.15, 1e-6);
}

TEST_F(Adapter, LayersAreConcatenatedInTheOrderOfTheManifest) {
  ExpertSpec spec = adapter_spec(1, 2, 2, {3, 6});
  add_small_weights(spec);
  const Floats third({1, 1}, {1}), sixth({1, 1}, {2});
  const auto y = LoadedExpert(library_, spec).forward(Batch(third, sixth));
  EXPECT_NEAR(y[0], 6.0, 1e-6);
  EXPECT_NEAR(y[1], 1.15, 1e-6);
}

TEST_F(Adapter, PoolingFollowsTheManifest) {
  ExpertSpec spec = adapter_spec(2, 2, 2);
  spec.pooling = MOEC_POOLING_CLS;
  const LoadedExpert expert(library_, spec);
  moec_requirements out{};
  out.struct_size = sizeof(out);
  LoadedExpert::check(
      [&](moec_error* error) { return library_->requirements(expert.get(), &out, error); });
  EXPECT_EQ(out.pooling, MOEC_POOLING_CLS);
  EXPECT_EQ(out.flops_per_row, 2 * (2 * 2 * 2 + 2 * 2));
}

TEST_F(Adapter, NamesItsParameters) {
  const LoadedExpert expert(library_, adapter_spec(6, 4, 3));
  const BoundParameters parameters(library_, expert);
  EXPECT_THAT(parameters.names, ElementsAre("down.weight", "down.bias", "up.weight", "up.bias",
                                            "out.weight", "out.bias"));
  EXPECT_THAT(parameters.decay, ElementsAre(true, false, true, false, true, false));
  EXPECT_THAT(parameters.values[kDownWeight].shape(), ElementsAre(4, 6));
  EXPECT_THAT(parameters.values[kUpWeight].shape(), ElementsAre(6, 4));
  EXPECT_THAT(parameters.values[kOutWeight].shape(), ElementsAre(3, 6));
}

TEST_F(Adapter, BottleneckIs64ByDefault) {
  ExpertSpec spec = adapter_spec(3, 1, 2);
  spec.config = "{}";
  const LoadedExpert expert(library_, spec);
  EXPECT_EQ(BoundParameters(library_, expert).values[kDownBias].size(), 64U);
}

TEST_F(Adapter, InitGivesEqualBitsForEqualSeeds) {
  const LoadedExpert expert(library_, adapter_spec(8, 4, 3));
  const BoundParameters first(library_, expert);
  first.init(7);
  const BoundParameters second(library_, expert);
  second.init(7);
  const BoundParameters other(library_, expert);
  other.init(8);
  for (const int p : {kDownWeight, kOutWeight}) {
    EXPECT_EQ(first.values[p].values(), second.values[p].values());
    EXPECT_NE(first.values[p].values(), other.values[p].values());
  }
  EXPECT_NE(first.values[kDownWeight][0], first.values[kOutWeight][0]);
}

TEST_F(Adapter, InitIsUniformWithinOneOverRootD) {
  const LoadedExpert expert(library_, adapter_spec(100, 64, 3));
  const BoundParameters parameters(library_, expert);
  parameters.init(1);
  double sum = 0, squares = 0;
  for (const float w : parameters.values[kDownWeight].values()) {
    ASSERT_LE(std::abs(w), 0.1F);
    sum += w;
    squares += w * w;
  }
  EXPECT_NEAR(sum / 6400, 0, 0.003);
  EXPECT_NEAR(squares / 6400, 0.01 / 3, 0.0002);
}

TEST_F(Adapter, StartsAsALinearProbe) {
  const LoadedExpert expert(library_, adapter_spec(5, 4, 3));
  const BoundParameters parameters(library_, expert);
  parameters.init(3);
  for (const int p : {kUpWeight, kUpBias, kDownBias, kOutBias}) {
    EXPECT_THAT(parameters.values[p].values(), Each(0.0F));
  }
  const Floats h = random_floats({2, 5}, 1);
  const auto y = expert.forward(Batch(h));
  for (size_t row = 0; row < 2; ++row) {
    for (size_t c = 0; c < 3; ++c) {
      double expected = 0;
      for (size_t j = 0; j < 5; ++j) {
        expected += static_cast<double>(parameters.values[kOutWeight][c * 5 + j]) * h[row * 5 + j];
      }
      EXPECT_NEAR(y[row * 3 + c], expected, 1e-6);
    }
  }
}

TEST_F(Adapter, GivenWeightsAnswerAsBoundOnes) {
  ExpertSpec spec = adapter_spec(2, 2, 2);
  add_small_weights(spec);
  const LoadedExpert with_weights(library_, spec), bound(library_, adapter_spec(2, 2, 2));
  const BoundParameters parameters(library_, bound);
  for (size_t p = 0; p < parameters.names.size(); ++p) {
    const Floats& weight = spec.weights.at(parameters.names[p]);
    std::copy_n(weight.data(), weight.size(), parameters.values[p].data());
  }
  parameters.changed();
  const Floats h = random_floats({9, 2}, 5);
  EXPECT_EQ(with_weights.forward(Batch(h)), bound.forward(Batch(h)));
}

TEST_F(Adapter, RefusesSettingsThatMakeNoSense) {
  const auto made_with = [&](const std::string& config) {
    ExpertSpec spec = adapter_spec(2, 2, 2);
    spec.config = config;
    return [this, spec = std::make_shared<ExpertSpec>(std::move(spec))] {
      LoadedExpert(library_, *spec);
    };
  };
  EXPECT_THAT(made_with(R"({"bottleneck": 0})"),
              ThrowsMessage<std::runtime_error>(HasSubstr("config.bottleneck = 0")));
  EXPECT_THAT(made_with(R"({"bottleneck": 2.5})"),
              ThrowsMessage<std::runtime_error>(HasSubstr("not a whole number")));
  EXPECT_THAT(made_with(R"({"bottleneck": "many"})"),
              ThrowsMessage<std::runtime_error>(HasSubstr("is not a number")));
  EXPECT_THAT(made_with(R"({"botleneck": 2})"),
              ThrowsMessage<std::runtime_error>(HasSubstr("config.botleneck is no setting")));
}

TEST_F(Adapter, RefusesWeightsThatDoNotFit) {
  const auto made_with = [&](const std::function<void(ExpertSpec&)>& change) {
    return [this, change] {
      ExpertSpec spec = adapter_spec(2, 2, 2);
      add_small_weights(spec);
      change(spec);
      LoadedExpert(library_, spec);
    };
  };
  EXPECT_THAT(made_with([](ExpertSpec& spec) { spec.weights.erase("up.bias"); }),
              ThrowsMessage<std::runtime_error>(HasSubstr("5 weights, expected 6")));
  EXPECT_THAT(made_with([](ExpertSpec& spec) {
                spec.weights.erase("up.bias");
                spec.weights.emplace("up.offset", Floats({2}));
              }),
              ThrowsMessage<std::runtime_error>(HasSubstr("weight up.bias is missing")));
  EXPECT_THAT(
      made_with([](ExpertSpec& spec) { spec.classes = 3; }),
      ThrowsMessage<std::runtime_error>(HasSubstr("weight out.weight is [2, 2], expected [3, 2]")));
}

TEST_F(Adapter, RefusesToWorkWithoutWhatItNeeds) {
  ExpertSpec no_encoder = adapter_spec(0, 2, 2), no_layer = adapter_spec(2, 2, 2, {});
  EXPECT_THAT([&] { LoadedExpert(library_, no_encoder); },
              ThrowsMessage<std::runtime_error>(HasSubstr("no encoder is given")));
  EXPECT_THAT([&] { LoadedExpert(library_, no_layer); },
              ThrowsMessage<std::runtime_error>(HasSubstr("none is named")));

  const LoadedExpert expert(library_, adapter_spec(2, 2, 2));
  const Floats h({1, 2}), narrow({1, 3});
  Floats y({1, 2});
  EXPECT_THAT([&] { expert.forward(Batch(h)); },
              ThrowsMessage<std::runtime_error>(HasSubstr("no weights were given")));
  EXPECT_THAT([&] { forward_train(expert, Batch(h), y); },
              ThrowsMessage<std::runtime_error>(HasSubstr("needs bound parameters")));
  const BoundParameters parameters(library_, expert);
  parameters.init(1);
  EXPECT_THAT([&] { expert.forward(Batch(narrow)); },
              ThrowsMessage<std::runtime_error>(HasSubstr("pooled[0] is [1, 3], expected [1, 2]")));
  EXPECT_THAT([&] { expert.forward(Batch(h, h)); },
              ThrowsMessage<std::runtime_error>(HasSubstr("2 layers")));
  EXPECT_THAT([&] { expert.forward(Batch({std::string("a text")})); },
              ThrowsMessage<std::runtime_error>(HasSubstr("pooled is null")));
}

}  // namespace
}  // namespace moecollab::plugin_test
