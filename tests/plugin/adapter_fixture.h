// What the tests of the stock adapter share.
#pragma once

#include <gtest/gtest.h>

#include <random>

#include "plugin/loaded_library.h"

namespace moecollab::plugin_test {

// The order of the parameters.
enum { kDownWeight, kDownBias, kUpWeight, kUpBias, kOutWeight, kOutBias };

inline ExpertSpec adapter_spec(int32_t hidden, int k, int32_t classes,
                               std::vector<int32_t> layers = {6}) {
  ExpertSpec spec;
  spec.classes = classes;
  spec.inputs = MOEC_INPUT_POOLED;
  spec.pooling = MOEC_POOLING_MEAN;
  spec.layers = std::move(layers);
  spec.hidden = hidden;
  spec.config = "{\"bottleneck\": " + std::to_string(k) + "}";
  return spec;
}

// d = 2, k = 2, C = 2.
inline void add_small_weights(ExpertSpec& spec) {
  spec.weights.emplace("down.weight", Floats({2, 2}, {1, 0, 0, -1}));
  spec.weights.emplace("down.bias", Floats({2}, {0.5F, 1}));
  spec.weights.emplace("up.weight", Floats({2, 2}, {2, 1, 0, 3}));
  spec.weights.emplace("up.bias", Floats({2}, {0.1F, -0.1F}));
  spec.weights.emplace("out.weight", Floats({2, 2}, {1, 1, 0.5F, -1}));
  spec.weights.emplace("out.bias", Floats({2}, {0, 1}));
}

inline Floats random_floats(std::vector<int64_t> shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> value(-1, 1);
  Floats tensor(std::move(shape));
  for (size_t i = 0; i < tensor.size(); ++i) tensor[i] = value(generator);
  return tensor;
}

inline void randomise(const BoundParameters& parameters, unsigned seed) {
  for (const Floats& value : parameters.values) {
    const Floats random = random_floats(value.shape(), seed++);
    std::copy_n(random.data(), random.size(), value.data());
  }
  parameters.changed();
}

class AdapterFixture : public ::testing::Test {
 protected:
  // forward_train; the saved context is released at the test's end.
  moec_saved* forward_train(const LoadedExpert& expert, const Batch& batch, const Floats& logits) {
    moec_saved* saved = nullptr;
    LoadedExpert::check([&](moec_error* error) {
      return train_->forward_train(expert.get(), &exec_, batch.get(), logits.view(), &saved, error);
    });
    saved_.push_back({expert.get(), saved});
    return saved;
  }
  void vjp(const LoadedExpert& expert, moec_saved* saved, const Floats& gy,
           const std::vector<const moec_tensor*>& gx = {}) {
    LoadedExpert::check([&](moec_error* error) {
      return train_->vjp(expert.get(), &exec_, saved, gy.view(), gx.size(), gx.data(), error);
    });
  }
  // Before the expert goes.
  void release_all() {
    for (const auto& [expert, saved] : saved_) train_->release_saved(expert, saved);
    saved_.clear();
  }

  LoadedLibrary library_{MOECOLLAB_ADAPTER};
  const moec_ext_train* train_ = library_.extension<moec_ext_train>(MOEC_EXT_TRAIN);
  const moec_exec exec_ = one_thread();
  std::vector<std::pair<moec_expert*, moec_saved*>> saved_;
};

}  // namespace moecollab::plugin_test
