#include "contribution/distillation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "registry/layout.h"
#include "torch/toy_pool.h"
#include "training/calibration.h"
#include "training/held_out_file.h"

namespace moecollab::contribution {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Toy = moecollab::testing::ToyPool;

// Four texts about films, of which the critic has answered all and the fan, whose first class is
// "good", all but the last.
struct DistillationTest : ::testing::Test {
  DistillationTest() {
    lesson.texts = {"one", "two", "three", "four"};
    lesson.labels = {0, 1, 1, 0};
    answer(Toy::kCritic, {"one", "two", "three", "four"},
           at::tensor({2.0F, 0.0F, 0.0F, 3.0F, 1.0F, 0.0F, 1.0F, 0.0F}).view({4, 2}));
    answer(Toy::kFan, {"three", "two", "one"},
           at::tensor({1.0F, 0.0F, 0.0F, 2.0F, 0.0F, 2.0F}).view({3, 2}));
  }
  void answer(size_t e, const std::vector<std::string>& texts, const at::Tensor& logits) {
    training::HeldOutLogits answers;
    for (const std::string& text : texts) answers.texts.push_back(sha256(text));
    answers.logits = logits;
    training::write_held_out(
        registry::held_out_file(toy.pool().options().registry, toy.installed(e).sha256()), answers);
  }
  std::string refusal(const std::vector<std::string>& teachers) {
    try {
      distil(toy.pool(), teachers, lesson, film);
    } catch (const Error& error) {
      return error.code() + ": " + error.what();
    }
    return "accepted";
  }

  moecollab::testing::TinyEncoder tiny;
  Toy toy{tiny};
  Lesson lesson;
  fusion::LabelSpace film{"film/1", {"bad", "good"}};
};

TEST_F(DistillationTest, ATextIsLearntAsHalfItsLabelAndHalfWhatTheTeachersSay) {
  const Distillation found = distil(toy.pool(), {"critic", "fan"}, lesson, film);
  EXPECT_EQ(found.texts, 3);
  EXPECT_THAT(found.teachers, ElementsAre("critic", "fan"));
  // In the order of the space's labels, each at the temperature of what it answered.
  const at::Tensor critic =
      at::tensor({2.0F, 0.0F, 0.0F, 3.0F, 1.0F, 0.0F, 1.0F, 0.0F}).view({4, 2});
  const at::Tensor fan = at::tensor({2.0F, 0.0F, 2.0F, 0.0F, 0.0F, 1.0F}).view({3, 2});
  const at::Tensor labels = at::tensor({0, 1, 1, 0}, at::kLong);
  const double hot = training::fit_temperature(critic, labels),
               cold = training::fit_temperature(fan, labels.narrow(0, 0, 3));
  EXPECT_NE(hot, cold);
  const at::Tensor said =
      (at::softmax(critic / hot, 1).narrow(0, 0, 3) + at::softmax(fan / cold, 1)) / 2;
  const at::Tensor label = at::tensor({1.0F, 0.0F, 0.0F, 1.0F, 0.0F, 1.0F}).view({3, 2});
  EXPECT_TRUE(found.targets.narrow(0, 0, 3).allclose((said + label) / 2, 1e-5, 1e-6))
      << found.targets;
  EXPECT_TRUE(found.targets[3].equal(at::tensor({1.0F, 0.0F}))) << "the fan has not answered it";
}

TEST_F(DistillationTest, AnAnswerThatIsNotFiniteIsNone) {
  answer(Toy::kFan, {"one", "two"},
         at::tensor({0.0F, 2.0F, std::numeric_limits<float>::quiet_NaN(), 0.0F}).view({2, 2}));
  const Distillation found = distil(toy.pool(), {"fan"}, lesson, film);
  EXPECT_EQ(found.texts, 1);
  EXPECT_TRUE(found.targets.isfinite().all().item<bool>());
  EXPECT_TRUE(found.targets[1].equal(at::tensor({0.0F, 1.0F})));
}

TEST_F(DistillationTest, WhoCannotTeachIsNamed) {
  EXPECT_THAT(refusal({"critics"}),
              HasSubstr("E_CONFIG: there is no expert critics that is ready"));
  EXPECT_THAT(refusal({"fan", "critic", "fan"}), HasSubstr("--distill names fan twice"));
  EXPECT_THAT(refusal({"judge"}),
              HasSubstr("expert judge answers in label space court/1, the new one in film/1"));
  film.labels[1] = "great";
  EXPECT_THAT(refusal({"fan"}),
              HasSubstr("expert fan knows the label \"good\", which the new one"));
  film.labels = {"bad", "good", "mixed"};
  EXPECT_THAT(refusal({"fan"}), HasSubstr("expert fan knows 2 of the 3 labels of film/1"));
}

TEST_F(DistillationTest, TeachersWithoutHonestAnswersAreRefused) {
  lesson.texts = {"five", "six", "seven", "eight"};
  EXPECT_THAT(refusal({"critic", "fan"}), HasSubstr("E_DATA: no text of the training file"));
  fs::remove(
      registry::held_out_file(toy.pool().options().registry, toy.installed(Toy::kFan).sha256()));
  EXPECT_THAT(refusal({"fan"}), HasSubstr("expert fan has no held-out logits here"));
}

}  // namespace
}  // namespace moecollab::contribution
