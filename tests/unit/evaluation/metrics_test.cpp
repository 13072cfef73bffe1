#include "evaluation/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"

namespace moecollab::evaluation {
namespace {

using testing::ElementsAre;
using Ids = std::vector<int>;
using Values = std::vector<double>;

// Three classes, six texts. Class 0: tp 2, fp 1, fn 0. Class 1: tp 1, fp 1, fn 1. Class 2: tp 1,
// fp 0, fn 1.
const Ids kTruth{0, 0, 1, 1, 2, 2};
const Ids kPredicted{0, 0, 1, 0, 2, 1};
const Ids kLabels{0, 1, 2};

TEST(Accuracy, IsTheShareOfRightAnswers) {
  EXPECT_THAT(correctness(kTruth, kPredicted), ElementsAre(1, 1, 1, 0, 1, 0));
  EXPECT_DOUBLE_EQ(accuracy(kTruth, kPredicted), 4.0 / 6);
  EXPECT_TRUE(std::isnan(accuracy({}, {})));
}

TEST(Accuracy, RefusesUnequalLengthsNamingBoth) {
  try {
    accuracy(Ids{1, 2}, Ids{1, 2, 3});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_INTERNAL");
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("2"), testing::HasSubstr("3")));
  }
}

// F1: class 0 = 2·2/(4+1) = 0.8, class 1 = 2/(2+2) = 0.5, class 2 = 2/(2+1) = 2/3; mean 0.65556.
TEST(MacroF1, IsTheMeanOverTheLabels) {
  EXPECT_NEAR(macro_f1(kTruth, kPredicted, kLabels), (0.8 + 0.5 + 2.0 / 3) / 3, 1e-15);
}

// Label 7 is in the space but in no text: F1 0, so the mean is over four.
TEST(MacroF1, CountsZeroForALabelNeverSeen) {
  EXPECT_NEAR(macro_f1(kTruth, kPredicted, Ids{0, 1, 2, 7}), (0.8 + 0.5 + 2.0 / 3) / 4, 1e-15);
}

// Labels 10 and 11; the second text is answered with 99, of another space.
// 10: tp 1, fp 0, fn 1 -> 2/3; 11: tp 1 -> 1; mean 5/6.
TEST(MacroF1, AnswerOutsideTheSpaceIsAMissOnly) {
  EXPECT_NEAR(macro_f1(Ids{10, 10, 11}, Ids{10, 99, 11}, Ids{10, 11}), 5.0 / 6, 1e-15);
}

TEST(MacroF1, UndefinedWithoutTextsOrLabels) {
  EXPECT_TRUE(std::isnan(macro_f1({}, {}, kLabels)));
  EXPECT_TRUE(std::isnan(macro_f1(kTruth, kPredicted, {})));
  EXPECT_THROW(macro_f1(kTruth, kPredicted, Ids{0, 0}), Error);
}

TEST(ConfusionMatrix, CountsTruthByRowAndKeepsAnswersOfOtherSpacesApart) {
  // Truth 8 is not listed. Truth 5: answered 5, 6, 99. Truth 6: answered 5.
  const Confusion c = confusion(Ids{8, 5, 5, 5, 6}, Ids{5, 5, 6, 99, 5}, Ids{5, 6});
  EXPECT_THAT(c.labels, ElementsAre(5, 6));
  EXPECT_THAT(c.counts, ElementsAre(ElementsAre(1, 1), ElementsAre(1, 0)));
  EXPECT_THAT(c.outside, ElementsAre(1, 0));
}

// 8 of 10, z = 1.96: centre (0.8 + 3.8416/20) / 1.38416 = 0.716738, half width
// 1.96/1.38416·√(0.016 + 3.8416/400) = 1.416021·0.160013 = 0.226581.
TEST(Wilson, MatchesTheFormulaByHand) {
  const Interval i = wilson(8, 10, 1.96);
  EXPECT_NEAR(i.low, 0.490157, 1e-6);
  EXPECT_NEAR(i.high, 0.943319, 1e-6);
}

// 0 of n: [0, z²/(n + z²)]; with n = 10 that is 3.841459/13.841459 = 0.277533.
TEST(Wilson, StaysInsideTheUnitInterval) {
  EXPECT_DOUBLE_EQ(wilson(0, 10).low, 0);
  EXPECT_NEAR(wilson(0, 10).high, 0.277533, 1e-6);
  EXPECT_NEAR(wilson(10, 10).low, 1 - 0.277533, 1e-6);
  EXPECT_DOUBLE_EQ(wilson(10, 10).high, 1);
  EXPECT_TRUE(std::isnan(wilson(0, 0).low));
}

TEST(Bootstrap, IsSeededAndHoldsTheEstimate) {
  Ids truth, predicted;
  for (int i = 0; i < 200; ++i) {
    truth.push_back(i % 2);
    predicted.push_back(i % 10 < 8 ? i % 2 : 1 - i % 2);
  }
  const Ids labels{0, 1};
  const Interval a = bootstrap_macro_f1(truth, predicted, labels, 7);
  const Interval b = bootstrap_macro_f1(truth, predicted, labels, 7);
  const Interval c = bootstrap_macro_f1(truth, predicted, labels, 8);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_TRUE(a.low != c.low || a.high != c.high);
  // Accuracy 0.8 of 200 has standard error √(0.16/200) = 0.0283, and F1 moves with it: about
  // 0.8 ± 0.055.
  EXPECT_NEAR(a.low, 0.745, 0.02);
  EXPECT_NEAR(a.high, 0.855, 0.02);
}

TEST(Bootstrap, OfEqualTextsHasNoWidth) {
  const Interval i = bootstrap_macro_f1(Ids{1, 1, 1}, Ids{1, 1, 1}, Ids{1}, 1, 50);
  EXPECT_DOUBLE_EQ(i.low, 1);
  EXPECT_DOUBLE_EQ(i.high, 1);
  EXPECT_TRUE(std::isnan(bootstrap_macro_f1({}, {}, Ids{1}, 1).low));
}

// Before right on texts 0, 1; after right on 0, 2, 3, 4: fixed 3, broke 1, z = 2/√4 = 1.
TEST(McNemar, CountsOnlyTheTextsThatChanged) {
  const Ids truth{1, 1, 1, 1, 1};
  const McNemar m = mcnemar(truth, Ids{1, 1, 0, 0, 2}, Ids{1, 0, 1, 1, 1});
  EXPECT_EQ(m.fixed, 3);
  EXPECT_EQ(m.broke, 1);
  EXPECT_DOUBLE_EQ(m.z, 1);
  EXPECT_DOUBLE_EQ(mcnemar(truth, Ids{1, 0, 1, 1, 1}, Ids{1, 1, 0, 0, 2}).z, -1);
}

TEST(McNemar, IsZeroWhereNothingDiffers) {
  const McNemar m = mcnemar(Ids{1, 2}, Ids{1, 1}, Ids{1, 0});
  EXPECT_EQ(m.fixed + m.broke, 0);
  EXPECT_EQ(m.z, 0);
}

// 15 bins of width 1/15. 0.95 and 0.99 share the last bin: |1 − 1.94| = 0.94. 0.5 is in bin 8
// (7/15, 8/15]: |1 − 0.5| = 0.5. Sum 1.44 of 3 texts = 0.48.
TEST(Ece, SumsTheGapOfEveryBin) {
  EXPECT_NEAR(ece(Values{0.95, 0.99, 0.5}, Ids{1, 0, 1}), 0.48, 1e-12);
}

// Two bins: 0.5 belongs to the lower (0, 0.5], so 0.5 right and 0.25 wrong: |1 − 0.75| = 0.25;
// 0 also belongs to the lower bin. Three texts: 0.25/3.
TEST(Ece, UpperEdgeBelongsToTheBin) {
  EXPECT_NEAR(ece(Values{0.5, 0.25, 0.0}, Ids{1, 0, 0}, 2), 0.25 / 3, 1e-15);
  EXPECT_NEAR(ece(Values{1.0}, Ids{1}), 0, 1e-15);
  EXPECT_TRUE(std::isnan(ece({}, {})));
}

// Best five of ten by confidence 1.0, 0.9, … 0.1: right, right, right, wrong, right = 4/5.
// Best nine: 4 + (1, 0, 0, 1) = 6/9; all: 6/10; best eight: 5/8.
TEST(Coverage, IsTheAccuracyOfTheMostConfident) {
  const Values confidence{1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1};
  const Ids correct{1, 1, 1, 0, 1, 1, 0, 0, 1, 0};
  EXPECT_DOUBLE_EQ(coverage_accuracy(confidence, correct, kCoverages[0]), 0.6);
  EXPECT_DOUBLE_EQ(coverage_accuracy(confidence, correct, kCoverages[1]), 6.0 / 9);
  EXPECT_DOUBLE_EQ(coverage_accuracy(confidence, correct, kCoverages[2]), 5.0 / 8);
  EXPECT_DOUBLE_EQ(coverage_accuracy(confidence, correct, kCoverages[3]), 0.8);
}

// 0.9 is right; two of the three at 0.5 are right, one of them fits: (1 + 2/3) / 2 = 5/6.
TEST(Coverage, TiesAtTheCutCountWithTheirMean) {
  const Values confidence{0.5, 0.9, 0.5, 0.5};
  EXPECT_NEAR(coverage_accuracy(confidence, Ids{1, 1, 0, 1}, 0.5), 5.0 / 6, 1e-15);
  EXPECT_NEAR(coverage_accuracy(confidence, Ids{0, 1, 1, 1}, 0.5), 5.0 / 6, 1e-15);
  EXPECT_TRUE(std::isnan(coverage_accuracy({}, {}, 0.5)));
}

// Positives 0.9, 0.4; negatives 0.4, 0.1. Pairs: 0.9 beats both (2), 0.4 ties 0.4 (½), beats 0.1
// (1): 3.5 of 4.
TEST(Auroc, CountsTiesHalf) {
  EXPECT_DOUBLE_EQ(auroc(Values{0.9, 0.4, 0.4, 0.1}, Ids{1, 1, 0, 0}), 3.5 / 4);
  EXPECT_DOUBLE_EQ(auroc(Values{0.2, 0.2, 0.2}, Ids{1, 0, 0}), 0.5);
  EXPECT_DOUBLE_EQ(auroc(Values{0.1, 0.9}, Ids{1, 0}), 0);
  EXPECT_TRUE(std::isnan(auroc(Values{0.1, 0.9}, Ids{1, 1})));
}

}  // namespace
}  // namespace moecollab::evaluation
