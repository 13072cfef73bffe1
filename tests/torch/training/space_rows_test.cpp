#include "training/space_rows.h"

#include <gtest/gtest.h>

#include "encoder/features.h"

namespace moecollab::training {
namespace {

// n texts of `spaces` spaces in turn, with `features` features; one of them tells each space apart.
struct Texts {
  Texts(int64_t n, int64_t count, int64_t features) {
    spaces = at::arange(n).remainder(count);
    // Sines of unrelated rates in the place of noise.
    z = at::sin(at::arange(n * features, at::kFloat).mul(1.7).square()).view({n, features});
    z.narrow(1, 0, count).add_(at::one_hot(spaces, count).to(at::kFloat), 2);
  }
  at::Tensor z, spaces;
};

double loss(const SpaceRows& rows, const Texts& texts) {
  return at::cross_entropy_loss(at::linear(texts.z, rows.weight, rows.bias), texts.spaces)
      .item<double>();
}

// The formula of the header, by a solver of its own.
TEST(SpaceRows, AreTheShrunkDiscriminants) {
  const Texts texts(60, 3, 40);
  const auto rows = discriminant_rows(texts.z, texts.spaces, 3, 7, {});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->texts, 60);
  const at::Tensor z = texts.z.to(at::kDouble);
  at::Tensor means = at::zeros({3, 40}, at::kDouble);
  means.index_add_(0, texts.spaces, z).div_(20);
  const at::Tensor rest = z - means.index_select(0, texts.spaces);
  const at::Tensor within = rest.t().matmul(rest) / 60;
  const at::Tensor shrunk = within * (1 - rows->shrinkage) +
                            at::eye(40, at::kDouble) * (within.trace() * rows->shrinkage / 40);
  const at::Tensor w = at::linalg_inv(shrunk).matmul(means.t()).t();
  const at::Tensor b = -(w * means).sum(1) / 2;
  EXPECT_LT((rows->weight - w * rows->scale).abs().max().item<double>(), 1e-5);
  EXPECT_LT((rows->bias - b * rows->scale - std::log(1.0 / 3)).abs().max().item<double>(), 1e-5);
}

TEST(SpaceRows, TellNewTextsApart) {
  const Texts texts(60, 3, 40);
  const auto rows = discriminant_rows(texts.z, texts.spaces, 3, 7, {});
  ASSERT_TRUE(rows);
  Texts others(600, 3, 40);
  others.z = at::sin(at::arange(600 * 40, at::kFloat).mul(0.9).square()).view({600, 40});
  others.z.narrow(1, 0, 3).add_(at::one_hot(others.spaces, 3).to(at::kFloat), 2);
  EXPECT_LT(loss(*rows, others), 0.6) << "ln 3 = 1.10 knows nothing";
  EXPECT_TRUE(discriminant_rows(texts.z, texts.spaces, 3, 7, {})->weight.equal(rows->weight));
}

// Spaces that one look tells apart do not make the gate surer than 60 texts can make it.
TEST(SpaceRows, AreNoSurerThanTheTextsAreMany) {
  Texts texts(60, 3, 40);
  texts.z.narrow(1, 0, 3).mul_(1000);
  const auto rows = discriminant_rows(texts.z, texts.spaces, 3, 7, {});
  ASSERT_TRUE(rows);
  const at::Tensor p = at::softmax(at::linear(texts.z, rows->weight, rows->bias), 1);
  const double own = p.gather(1, texts.spaces.unsqueeze(1)).mean().item<double>();
  EXPECT_GT(own, 0.8);
  EXPECT_LT(own, 0.999);
}

// Noise alone: cross-validation takes the least scale, and the spaces stay as they are shared.
TEST(SpaceRows, OfTextsThatNothingTellsApartSayNextToNothing) {
  Texts texts(60, 3, 40);
  texts.z = at::sin(at::arange(60 * 40, at::kFloat).mul(2.3).square()).view({60, 40});
  const auto rows = discriminant_rows(texts.z, texts.spaces, 3, 7, {});
  ASSERT_TRUE(rows);
  EXPECT_NEAR(loss(*rows, texts), std::log(3.0), 0.1);
}

TEST(SpaceRows, AreNotMadeWhereTheyAreOfNoUse) {
  const auto made = [](const Texts& texts, int64_t count) {
    return discriminant_rows(texts.z, texts.spaces, count, 7, {}).has_value();
  };
  EXPECT_TRUE(made(Texts(80, 3, 40), 3));
  EXPECT_FALSE(made(Texts(81, 3, 40), 3)) << "more than two texts per feature";
  EXPECT_TRUE(made(Texts(30, 3, 40), 3));
  EXPECT_FALSE(made(Texts(29, 3, 40), 3)) << "nine texts of the last space";
  EXPECT_FALSE(made(Texts(30, 3, 40), 4)) << "a space without a text";
  Texts one(30, 3, 40);
  one.spaces.zero_();
  EXPECT_FALSE(made(one, 1)) << "nothing to tell apart";
  EXPECT_FALSE(discriminant_rows(at::zeros({0, 40}), at::zeros({0}, at::kLong), 2, 7, {}));
}

TEST(SpaceRows, OfEqualTextsAreFinite) {
  Texts texts(30, 3, 40);
  texts.z = at::ones({30, 40});
  const auto rows = discriminant_rows(texts.z, texts.spaces, 3, 7, {});
  ASSERT_TRUE(rows);
  EXPECT_TRUE(rows->weight.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace moecollab::training
