// The parts of the stock deep adapter beside LibTorch's own operations.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "deep-adapter/attention.h"
#include "deep-adapter/dropout.h"
#include "deep-adapter/packing.h"
#include "deep-adapter/products.h"

namespace moecollab::deep_adapter {
namespace {

at::Tensor wavy(at::IntArrayRef shape, double step) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kDouble).mul(step))
      .to(at::kFloat)
      .view(shape);
}

at::Tensor leaf(const at::Tensor& values) { return values.detach().clone().requires_grad_(true); }

// ‖a − b‖ / ‖b‖.
double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kFloat) - b).norm().item<double>() / b.norm().item<double>();
}

// `ours` and `theirs` beside each other: result, and gradient of each input.
void expect_equal(const std::function<at::Tensor(std::vector<at::Tensor>&)>& ours,
                  const std::function<at::Tensor(std::vector<at::Tensor>&)>& theirs,
                  const std::vector<at::Tensor>& inputs, double tolerance) {
  std::vector<at::Tensor> a, b;
  for (const at::Tensor& input : inputs) {
    a.push_back(leaf(input));
    b.push_back(leaf(input));
  }
  const at::Tensor one = ours(a), two = theirs(b);
  EXPECT_LT(distance(one, two), tolerance);
  const at::Tensor direction = wavy(two.sizes(), 0.37);
  (one.to(at::kFloat) * direction).sum().backward();
  (two * direction).sum().backward();
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(a[i].grad().defined()) << "no gradient of input " << i;
    EXPECT_EQ(a[i].grad().scalar_type(), inputs[i].scalar_type());
    EXPECT_LT(distance(a[i].grad(), b[i].grad()), tolerance) << "input " << i;
  }
}

struct ProductsTest : ::testing::TestWithParam<std::pair<at::ScalarType, double>> {};

// oneDNN's operator drops gradients without a word; this is what would show it.
TEST_P(ProductsTest, GradientsOfAProductAreThoseOfLibTorchs) {
  const auto [type, tolerance] = GetParam();
  expect_equal([type = type](auto& in) { return linear(in[0], in[1], in[2], type); },
               [](auto& in) { return at::linear(in[0], in[1], in[2]); },
               {wavy({70, 48}, 1.3), wavy({33, 48}, 0.7), wavy({33}, 2.1)}, tolerance);
}

TEST_P(ProductsTest, GradientsPassThroughOneProductIntoAnother) {
  const auto [type, tolerance] = GetParam();
  expect_equal(
      [type = type](auto& in) {
        return linear(at::tanh(linear(in[0], in[1], in[2], type)), in[1], in[2], type);
      },
      [](auto& in) { return at::linear(at::tanh(at::linear(in[0], in[1], in[2])), in[1], in[2]); },
      {wavy({40, 24}, 1.3), wavy({24, 24}, 0.7), wavy({24}, 2.1)}, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Types, ProductsTest,
                         ::testing::Values(std::pair{at::kFloat, 2e-6},
                                           std::pair{at::kBFloat16, 5e-2}));

// Text after text by LibTorch's fused attention.
at::Tensor text_by_text(const at::Tensor& qkv, const Packing& packing, int64_t heads) {
  const int64_t hidden = qkv.size(1) / 3;
  std::vector<at::Tensor> found;
  int64_t first = 0;
  for (const int64_t length : packing.lengths) {
    const at::Tensor parts = qkv.narrow(0, first, length)
                                 .view({1, length, 3, heads, hidden / heads})
                                 .permute({2, 0, 3, 1, 4});
    found.push_back(at::scaled_dot_product_attention(parts[0], parts[1], parts[2])
                        .transpose(1, 2)
                        .reshape({length, hidden}));
    first += length;
  }
  return at::cat(found);
}

TEST_P(ProductsTest, AttentionIsThatOfEachTextAlone) {
  const auto [type, tolerance] = GetParam();
  const auto packing =
      c10::make_intrusive<Packing>(std::vector<int64_t>{40, 35, 31, 19, 17, 16, 9, 3, 1, 1});
  std::vector<int64_t> texts;
  for (const LengthGroup& group : packing->groups) texts.push_back(group.texts);
  EXPECT_EQ(texts, (std::vector<int64_t>{2, 1, 2, 2, 3}));
  const double loose = tolerance > 1e-3 ? 2e-2 : 5e-6;
  expect_equal(
      [&, type = type](auto& in) {
        return attention(in[0].to(type), packing, 2).narrow(0, 0, packing->tokens);
      },
      [&](auto& in) { return text_by_text(in[0], *packing, 2); },
      {wavy({packing->rows, 3 * 16}, 1.3)}, loose);
}

TEST(PackingTest, ATextThatIsNotFiniteLeavesTheOthersAlone) {
  const auto packing = c10::make_intrusive<Packing>(std::vector<int64_t>{6, 5, 5});
  at::Tensor qkv = wavy({packing->rows, 3 * 8}, 1.3);
  const at::Tensor before = mean_per_text(attention(qkv, packing, 2), packing);
  qkv.narrow(0, 6, 5).fill_(std::numeric_limits<float>::quiet_NaN());
  const at::Tensor after = mean_per_text(attention(qkv, packing, 2), packing);
  EXPECT_TRUE(after[0].equal(before[0]));
  EXPECT_TRUE(after[1].isnan().all().item<bool>());
  EXPECT_TRUE(after[2].equal(before[2]));
}

TEST(PackingTest, MeansAreOverATextsOwnRows) {
  const auto packing = c10::make_intrusive<Packing>(std::vector<int64_t>{4, 2, 1});
  expect_equal([&](auto& in) { return mean_per_text(in[0], packing); },
               [](auto& in) {
                 return at::stack({in[0].narrow(0, 0, 4).mean(0), in[0].narrow(0, 4, 2).mean(0),
                                   in[0].narrow(0, 6, 1).mean(0)});
               },
               {wavy({packing->rows, 5}, 0.9)}, 1e-6);
}

TEST(PackingTest, FewNumbersOfRowsAreMet) {
  for (const int64_t tokens : {1, 15, 16, 255, 256, 700}) {
    const Packing packing({tokens});
    EXPECT_GT(packing.rows, tokens);
    EXPECT_EQ(packing.rows % (tokens < 256 ? 16 : 64), 0);
  }
}

TEST(DropoutTest, KeepsItsShareAndTheMean) {
  const at::Generator generator = at::detail::createCPUGenerator(7);
  const at::Tensor found = dropout(at::ones({400, 500}), 0.1, generator);
  EXPECT_NEAR(found.eq(0).to(at::kDouble).mean().item<double>(), 0.1, 3e-3);
  EXPECT_NEAR(found.mean().item<double>(), 1, 3e-3);
  // Neither rows nor columns agree more than chance has it.
  const at::Tensor gone = found.eq(0).to(at::kDouble);
  EXPECT_LT(gone.mean(0).std().item<double>(), 0.03);
  EXPECT_LT(gone.mean(1).std().item<double>(), 0.03);
  EXPECT_FALSE(found.equal(dropout(at::ones({400, 500}), 0.1, generator)));
}

TEST(DropoutTest, IsTheSameOnAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  const auto run = [](int count) {
    at::set_num_threads(count);
    return dropout(at::ones({300, 501}), 0.5, at::detail::createCPUGenerator(3));
  };
  const at::Tensor one = run(1), three = run(3);
  at::set_num_threads(threads);
  EXPECT_TRUE(one.equal(three));
}

TEST(DropoutTest, ABranchIsAddedAndItsGradientFollowsWhatWasKept) {
  const at::Tensor x = leaf(wavy({50, 20}, 1.1));
  const at::Tensor branch = leaf(at::ones({50, 20}, at::kBFloat16));
  const at::Tensor y = add_dropped(x, branch, 0.5, at::detail::createCPUGenerator(1));
  y.sum().backward();
  EXPECT_TRUE(x.grad().eq(1).all().item<bool>());
  EXPECT_TRUE(branch.grad().to(at::kFloat).equal(((y - x).detach() > 1).to(at::kFloat) * 2));
}

}  // namespace
}  // namespace moecollab::deep_adapter
