#include "fusion/padding.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>

namespace moecollab::fusion {
namespace {

// The paper's equations 4 and 5 written out: the fused logits are the mean of both experts', the
// narrow one's followed by 48 zeros, so the loss has the gradient (softmax − one-hot) / 2n in each
// of its columns, the 48 included.
TEST(PaddingGradients, OfThePaperFlowIntoColumnsThatTheExpertDoesNotHave) {
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  const at::Tensor own = at::randn({512, 2}, generator, at::kFloat);
  const at::Tensor wide = at::randn({512, 50}, generator, at::kFloat);
  const at::Tensor classes = at::cat(
      {at::randint(2, {256}, generator, at::kLong), at::randint(50, {256}, generator, at::kLong)});
  const at::Tensor fused = (at::cat({own, at::zeros({512, 48})}, 1) + wide) / 2;
  const at::Tensor one_hot = at::zeros({512, 50}).scatter_(1, classes.unsqueeze(1), 1.0);
  const at::Tensor norms = ((at::softmax(fused, 1) - one_hot) / (2 * 512)).square().sum(0).sqrt();
  const Json found = padding_gradients(Mode::kPaper, 2, 50, 7);
  ASSERT_EQ(found["columns"].size(), 50U);
  for (int64_t c = 0; c < 50; ++c)
    EXPECT_NEAR(found["columns"][static_cast<size_t>(c)].get<double>(), norms[c].item<double>(),
                1e-7);
  EXPECT_NEAR(found["padded"].get<double>(), norms.narrow(0, 2, 48).norm().item<double>(), 1e-6);
  EXPECT_GT(found["padded_share"], 0.25);
  const double padded_answers =
      fused.narrow(0, 0, 256).argmax(1).ge(2).to(at::kDouble).mean().item<double>();
  EXPECT_EQ(found["answered_padding"], padded_answers);
  EXPECT_GT(padded_answers, 0.5);
}

TEST(PaddingGradients, AreNoneUnderTheOtherFusions) {
  for (const Mode mode : {Mode::kMasked, Mode::kMixture, Mode::kLogitUnion}) {
    const Json found = padding_gradients(mode, 2, 50, 7);
    EXPECT_EQ(found["padded"], 0.0) << name(mode);
    EXPECT_GT(found["real"], 1e-3) << name(mode);
    EXPECT_EQ(found, padding_gradients(mode, 2, 50, 7)) << "equal seeds give equal bits";
    EXPECT_NE(found, padding_gradients(mode, 2, 50, 8));
  }
  EXPECT_EQ(padding_gradients(Mode::kMasked, 2, 50, 7)["answered_padding"], 0.0);
  // A text of the other space says nothing about this expert's labels.
  EXPECT_EQ(padding_gradients(Mode::kMixture, 2, 50, 7)["foreign_share"], 0.0);
}

}  // namespace
}  // namespace moecollab::fusion
