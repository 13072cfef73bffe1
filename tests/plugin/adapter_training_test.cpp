#include <gmock/gmock.h>

#include <cmath>

#include "plugin/adapter_fixture.h"

namespace moecollab::plugin_test {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using AdapterTraining = AdapterFixture;

// Gradients of L = Σ gy ∘ y, for every parameter and every input feature.
TEST_F(AdapterTraining, VjpAgreesWithCentralDifferences) {
  const LoadedExpert expert(library_, adapter_spec(3, 5, 3, {2, 6}));
  const BoundParameters parameters(library_, expert);
  randomise(parameters, 11);
  const Floats second = random_floats({7, 3}, 21), last = random_floats({7, 3}, 22);
  const Floats gy = random_floats({7, 3}, 23);
  const Batch batch(second, last);
  const auto loss = [&] {
    double sum = 0;
    const auto y = expert.forward(batch);
    for (size_t i = 0; i < y.size(); ++i) sum += static_cast<double>(y[i]) * gy[i];
    return sum;
  };
  const auto difference = [&](float& value) {
    const float kept = value, step = 1e-3F;
    value = kept + step;
    const double above = loss(), up = value;
    value = kept - step;
    const double below = loss(), down = value;
    value = kept;
    return (above - below) / (up - down);
  };

  Floats logits({7, 3}), g_second({7, 3}), g_last({7, 3});
  vjp(expert, forward_train(expert, batch, logits), gy, {g_second.view(), g_last.view()});
  release_all();
  EXPECT_EQ(logits.values(), expert.forward(batch));
  for (size_t p = 0; p < parameters.names.size(); ++p) {
    for (size_t i = 0; i < parameters.values[p].size(); ++i) {
      EXPECT_NEAR(parameters.grads[p][i], difference(parameters.values[p][i]), 2e-3)
          << parameters.names[p] << " " << i;
    }
  }
  for (size_t i = 0; i < g_second.size(); ++i) {
    EXPECT_NEAR(g_second[i], difference(second[i]), 2e-3) << "second " << i;
    EXPECT_NEAR(g_last[i], difference(last[i]), 2e-3) << "last " << i;
  }
}

TEST_F(AdapterTraining, ParameterGradientsAreAddedAndInputGradientsWritten) {
  const LoadedExpert expert(library_, adapter_spec(4, 3, 2));
  const BoundParameters parameters(library_, expert);
  randomise(parameters, 1);
  const Floats h = random_floats({5, 4}, 2), gy = random_floats({5, 2}, 3);
  Floats logits({5, 2}), gx({5, 4});
  vjp(expert, forward_train(expert, Batch(h), logits), gy, {gx.view()});
  std::vector<std::vector<float>> once;
  for (const Floats& grad : parameters.grads) once.push_back(grad.values());
  const auto gx_once = gx.values();

  vjp(expert, forward_train(expert, Batch(h), logits), gy, {gx.view()});
  release_all();
  EXPECT_EQ(gx.values(), gx_once);
  for (size_t p = 0; p < once.size(); ++p) {
    for (size_t i = 0; i < once[p].size(); ++i) {
      EXPECT_NEAR(parameters.grads[p][i], 2 * once[p][i], 1e-5) << parameters.names[p];
    }
  }
}

TEST_F(AdapterTraining, SavedContextsDoNotDisturbEachOther) {
  const LoadedExpert expert(library_, adapter_spec(4, 3, 2));
  const BoundParameters parameters(library_, expert);
  randomise(parameters, 1);
  const Floats a = random_floats({5, 4}, 2), b = random_floats({3, 4}, 3);
  const Floats gy_a = random_floats({5, 2}, 4), gy_b = random_floats({3, 2}, 5);
  Floats y_a({5, 2}), y_b({3, 2}), gx_a({5, 4}), gx_b({3, 4}), alone({5, 4});
  const Batch batch_a(a), batch_b(b);
  vjp(expert, forward_train(expert, batch_a, y_a), gy_a, {alone.view()});

  moec_saved* first = forward_train(expert, batch_a, y_a);
  moec_saved* second = forward_train(expert, batch_b, y_b);
  vjp(expert, second, gy_b, {gx_b.view()});
  vjp(expert, first, gy_a, {gx_a.view()});
  release_all();
  EXPECT_EQ(gx_a.values(), alone.values());
}

// More rows than the adapter works on at a time.
TEST_F(AdapterTraining, ManyRowsAnswerAsEachAlone) {
  const LoadedExpert expert(library_, adapter_spec(20, 7, 3));
  const BoundParameters parameters(library_, expert);
  randomise(parameters, 1);
  const int64_t n = 601;
  const Floats h = random_floats({n, 20}, 2), gy = random_floats({n, 3}, 3);
  Floats logits({n, 3}), gx({n, 20});
  vjp(expert, forward_train(expert, Batch(h), logits), gy, {gx.view()});
  EXPECT_EQ(logits.values(), expert.forward(Batch(h)));
  std::vector<std::vector<float>> together;
  for (const Floats& grad : parameters.grads) together.push_back(grad.values());
  parameters.zero_grads();

  for (int64_t row = 0; row < n; ++row) {
    const Floats one({1, 20}, h.data() + row * 20), g({1, 3}, gy.data() + row * 3);
    Floats y({1, 3}), gx_one({1, 20});
    const Batch batch(one);
    vjp(expert, forward_train(expert, batch, y), g, {gx_one.view()});
    release_all();
    ASSERT_TRUE(std::equal(y.data(), y.data() + 3, logits.data() + row * 3)) << row;
    ASSERT_TRUE(std::equal(gx_one.data(), gx_one.data() + 20, gx.data() + row * 20)) << row;
  }
  for (size_t p = 0; p < together.size(); ++p) {
    for (size_t i = 0; i < together[p].size(); ++i) {
      EXPECT_NEAR(together[p][i], parameters.grads[p][i], 1e-3) << parameters.names[p];
    }
  }
}

// Two rings, which a linear probe cannot tell apart.
TEST_F(AdapterTraining, GradientDescentFromOutsideLowersTheLoss) {
  const LoadedExpert expert(library_, adapter_spec(2, 16, 2));
  const BoundParameters parameters(library_, expert);
  parameters.init(1);
  const int64_t n = 64;
  Floats h({n, 2}), logits({n, 2}), gy({n, 2});
  for (int64_t i = 0; i < n; ++i) {
    const double angle = 0.1 * static_cast<double>(i), radius = i % 2 == 0 ? 0.5 : 1.5;
    h[static_cast<size_t>(2 * i)] = static_cast<float>(radius * std::cos(angle));
    h[static_cast<size_t>(2 * i + 1)] = static_cast<float>(radius * std::sin(angle));
  }
  const Batch batch(h);
  double first = 0, loss = 0;
  for (int step = 0; step < 400; ++step) {
    moec_saved* saved = forward_train(expert, batch, logits);
    loss = 0;
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const double p = 1 / (1 + std::exp(logits[2 * i] - logits[2 * i + 1]));  // of class 1
      const double target = static_cast<double>(i % 2);
      loss -= std::log(i % 2 == 1 ? p : 1 - p) / static_cast<double>(n);
      gy[2 * i + 1] = static_cast<float>((p - target) / static_cast<double>(n));
      gy[2 * i] = -gy[2 * i + 1];
    }
    if (step == 0) first = loss;
    parameters.zero_grads();
    vjp(expert, saved, gy);
    release_all();
    for (size_t p = 0; p < parameters.values.size(); ++p) {
      for (size_t i = 0; i < parameters.values[p].size(); ++i) {
        parameters.values[p][i] -= 0.5F * parameters.grads[p][i];
      }
    }
    parameters.changed();
  }
  EXPECT_GT(first, 0.6);
  EXPECT_LT(loss, 0.1);
}

TEST_F(AdapterTraining, RefusesGradientsOfAnotherShape) {
  const LoadedExpert expert(library_, adapter_spec(2, 2, 2));
  const BoundParameters parameters(library_, expert);
  parameters.init(1);
  const Floats h({3, 2}), short_gy({2, 2}), wide_gy({3, 3}), gy({3, 2}), gx({3, 2});
  Floats y({3, 2});
  const Batch batch(h);
  moec_saved* saved = forward_train(expert, batch, y);
  EXPECT_THAT([&] { vjp(expert, saved, short_gy); },
              ThrowsMessage<std::runtime_error>(HasSubstr("other rows")));
  EXPECT_THAT([&] { vjp(expert, saved, wide_gy); },
              ThrowsMessage<std::runtime_error>(HasSubstr("gy is not")));
  EXPECT_THAT(
      [&] {
        vjp(expert, saved, gy, {gx.view(), gx.view()});
      },
      ThrowsMessage<std::runtime_error>(HasSubstr("gx has 2 entries, expected 1")));
  release_all();
}

}  // namespace
}  // namespace moecollab::plugin_test
