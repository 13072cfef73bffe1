// scikit-learn's figures of 200 random cases (tools/golden_metrics.py): absent labels, answers
// outside of the labels and ties included. They agree to 1e-9.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "evaluation/gate_usage.h"
#include "evaluation/metrics.h"

namespace moecollab::evaluation {
namespace {

constexpr double kTolerance = 1e-9;

using Ids = std::vector<int>;
using Values = std::vector<double>;

const Json& cases() {
  static const Json all =
      parse_json(read_file(fs::path(MOECOLLAB_SOURCE_DIR) / "tests/golden/metrics.json", "E_TEST"));
  return all;
}

// A value that the reference does not define is null there and NaN here.
void expect_agrees(double ours, const Json& reference, const char* figure) {
  if (reference.is_null()) {
    EXPECT_TRUE(std::isnan(ours)) << figure << " " << ours;
  } else {
    EXPECT_NEAR(ours, reference.get<double>(), kTolerance) << figure;
  }
}

void expect_answers_agree(const Json& golden) {
  const Ids truth = golden["truth"], predicted = golden["predicted"], labels = golden["labels"];
  expect_agrees(accuracy(truth, predicted), golden["accuracy"], "accuracy");
  expect_agrees(macro_f1(truth, predicted, labels), golden["macro_f1"], "macro_f1");
  Ids present;
  for (const int label : labels) {
    if (std::ranges::find(truth, label) != truth.end()) present.push_back(label);
  }
  expect_agrees(macro_f1(truth, predicted, present), golden["macro_f1_present"],
                "macro_f1_present");
  const Confusion found = confusion(truth, predicted, labels);
  EXPECT_EQ(Json(found.counts), golden["confusion"]);
  EXPECT_EQ(Json(found.outside), golden["outside"]);
}

void expect_confidences_agree(const Json& golden) {
  const Values confidence = golden["confidence"];
  const Ids correct = correctness(golden["truth"].get<Ids>(), golden["predicted"].get<Ids>());
  expect_agrees(auroc(confidence, correct), golden["auroc"], "auroc");
  const Json& reference = golden["reliability"];
  if (reference.empty()) return;  // all right or all wrong: the reference has no curve
  size_t filled = 0;
  for (const ReliabilityBin& bin : reliability(confidence, correct)) {
    if (bin.n == 0) continue;
    ASSERT_LT(filled, reference.size());
    expect_agrees(bin.accuracy, reference[filled][0], "accuracy of a bin");
    expect_agrees(bin.confidence, reference[filled][1], "confidence of a bin");
    ++filled;
  }
  EXPECT_EQ(filled, reference.size());
}

TEST(MetricsGolden, AgreeWithScikitLearn) {
  ASSERT_EQ(cases().size(), 200u);
  for (size_t i = 0; i < cases().size(); ++i) {
    SCOPED_TRACE(i);
    expect_answers_agree(cases()[i]);
    expect_confidences_agree(cases()[i]);
    expect_agrees(nmi(cases()[i]["joint"].get<Matrix>()), cases()[i]["nmi"], "nmi");
  }
}

}  // namespace
}  // namespace moecollab::evaluation
