#include "ablation/judge.h"

#include <gtest/gtest.h>

#include "pipeline/collaboration.h"
#include "torch/toy_registry.h"

namespace moecollab::ablation {
namespace {

data::Dataset dataset(const std::string& domain, const std::vector<std::string>& texts) {
  data::Dataset made{domain, domain + ".jsonl", "aa", {}};
  for (size_t i = 0; i < texts.size(); ++i)
    made.examples.push_back({texts[i], i % 2 == 0 ? "no" : "yes", static_cast<int64_t>(i + 1)});
  return made;
}

struct JudgeTest : ::testing::Test {
  Way way(const at::Tensor& router, int64_t top_k = 0,
          fusion::Mode fusion = fusion::Mode::kMixture) {
    std::vector<fusion::ExpertLabels> labels = {pool.experts()[0].labels, pool.experts()[1].labels};
    labels[1].temperature = 2;  // as the toy's gate has it
    return {{0, 1}, labels, router, fusion, top_k};
  }

  moecollab::testing::TinyEncoder tiny;
  moecollab::testing::ToyRegistry toy{tiny};
  pipeline::Pool pool{toy.options()};
  const std::vector<data::Dataset> datasets = {
      dataset("courts", {"the court rule", "rule", "the court"}),
      dataset("films", {"good film", "not bad", "very good play", "bad film"})};
};

// The same answers as the system itself gives, dense and for one expert per text.
TEST_F(JudgeTest, AnswersAsTheCollaborationDoes) {
  Judge judge(pool, datasets, {});
  EXPECT_EQ(judge.texts(), 7);
  std::vector<std::string_view> texts;
  for (const data::Dataset& one : datasets)
    for (const data::Example& example : one.examples) texts.push_back(example.text);
  for (const int64_t top_k : {0, 1}) {
    pipeline::RoutedGate routed = pipeline::open_gate(toy.gate_for(pool), pool);
    const at::Tensor router = routed.gate.router_logits(judge.input(routed.gate.features));
    pipeline::Collaboration asked(pool, std::move(routed), fusion::Mode::kMixture, top_k);
    const pipeline::Answers theirs = asked.answer(texts);
    EXPECT_TRUE(router.allclose(theirs.router_logits, 1e-5, 1e-6));
    const Answers ours = judge.answer(way(router, top_k));
    EXPECT_EQ(ours.label, encoder::to_ints(fusion::predict(fusion::Mode::kMixture, theirs.fused,
                                                           pool.labels(), std::nullopt)));
  }
}

// Router logits of 0 give each half; a cap of 0.2 leaves the first expert a fifth.
TEST_F(JudgeTest, CapsCount) {
  const at::Tensor even = at::zeros({7, 2});
  const Answers capped = Judge(pool, datasets, at::tensor({0.2F, 1.0F})).answer(way(even));
  const auto space = static_cast<size_t>(pool.experts()[0].labels.space);
  for (size_t row = 0; row < 7; ++row) EXPECT_FLOAT_EQ(capped.mass[2 * row + space], 0.2F);
}

// All to `films`: its three texts are of its space, those of courts are not.
TEST_F(JudgeTest, FiguresAndChangesAreOfTheDomains) {
  Judge judge(pool, datasets, {});
  const float none = -std::numeric_limits<float>::infinity();
  const at::Tensor films = at::tensor({0.0F, none}).repeat({7, 1});
  const Answers all_films = judge.answer(way(films));
  const Json figures = judge.figures(all_films);
  EXPECT_EQ(figures["domains"]["films"]["n"], 4);
  EXPECT_EQ(figures["domains"]["courts"]["accuracy"], 0.0) << "no label of that space is answered";
  EXPECT_EQ(figures["domains"]["films"]["accuracy"],
            figures["domains"]["films"]["accuracy_task_aware"]);
  EXPECT_DOUBLE_EQ(figures["overall"]["routing_accuracy"], 4.0 / 7);
  EXPECT_DOUBLE_EQ(figures["overall"]["n_eff"], 1.0);
  const Answers even = judge.answer(way(at::zeros({7, 2})));
  const Json change = judge.change(even, all_films);
  EXPECT_EQ(change["by"], "accuracy");
  EXPECT_EQ(change["domains"]["courts"]["after"], 0.0);
  const Answers masked = judge.answer(way(films, 0, fusion::Mode::kMasked));
  EXPECT_TRUE(masked.label.empty());
  EXPECT_TRUE(judge.figures(masked)["overall"]["accuracy"].is_null());
  EXPECT_EQ(judge.change(even, masked)["by"], "accuracy_task_aware");
  const Json own = judge.in_space(pool.experts()[0].labels.space, even, all_films);
  EXPECT_EQ(own["figures"]["domains"].size(), 1U);
  EXPECT_TRUE(own["figures"]["overall"].is_null());
}

}  // namespace
}  // namespace moecollab::ablation
