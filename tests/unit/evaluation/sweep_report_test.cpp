#include "evaluation/sweep_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab::evaluation {
namespace {

using ::testing::HasSubstr;

Json point(double lambda1, double lambda2, double accuracy, double task, double soft,
           double ratio) {
  return {{"lambda1", lambda1},
          {"lambda2", lambda2},
          {"epochs", 7},
          {"seconds", 0.5},
          {"held_out",
           {{"accuracy", accuracy},
            {"accuracy_task_aware", accuracy},
            {"task", task},
            {"entropy", 0.25},
            {"balance", 0.5},
            {"n_eff", 2.0},
            {"n_eff_target", 2.5},
            {"n_eff_ratio", ratio},
            {"utilisation", {{"soft", soft}, {"hard", 0.5}}}}}};
}

// Accuracies .80 (λ = 0), .82 twice (task .5 and .4), .81 balanced, and one that diverged.
Json sample() {
  Json diverged = point(9, 9, 0, 0, 0, 0);
  diverged["held_out"] = nullptr;
  Json sweep = {
      {"schema", kSweepSchema},
      {"judged_by", "accuracy"},
      {"texts", 500},
      {"fit_seconds", 2.0},
      {"points",
       {point(0, 0, 0.80, 0.6, 0.4, 0.8), point(0, 0.1, 0.82, 0.5, 0.5, 0.9),
        point(0.1, 0, 0.82, 0.4, 0.6, 0.9), point(0.1, 0.1, 0.81, 0.3, 0.5, 1.0), diverged}}};
  sweep.update(sweep_summary(sweep));
  return sweep;
}

TEST(SweepSummary, TakesTheHighestAccuracyAndThenTheLowestLoss) {
  const Json sweep = sample();
  EXPECT_EQ(sweep["best"]["lambda1"], 0.1);
  EXPECT_EQ(sweep["best"]["lambda2"], 0.0);
  EXPECT_NEAR(sweep["best"]["accuracy_change"].get<double>(), 0.02, 1e-12);
  // .6 / .4 − 1
  EXPECT_NEAR(sweep["best"]["utilisation_change"]["soft"].get<double>(), 0.5, 1e-12);
  EXPECT_NEAR(sweep["best"]["utilisation_change"]["hard"].get<double>(), 0.0, 1e-12);
}

TEST(SweepSummary, TellsTheBestBalancedPointApart) {
  const Json sweep = sample();
  EXPECT_EQ(sweep["balanced"]["lambda1"], 0.1);
  EXPECT_EQ(sweep["balanced"]["lambda2"], 0.1);
  EXPECT_EQ(sweep["reference"]["accuracy_change"], 0.0);
}

TEST(SweepSummary, IsNullWhereNothingQualifies) {
  Json sweep = sample();
  for (Json& p : sweep["points"]) p["held_out"] = nullptr;
  const Json summary = sweep_summary(sweep);
  EXPECT_TRUE(summary["best"].is_null());
  EXPECT_TRUE(summary["balanced"].is_null());
  EXPECT_TRUE(summary["reference"].is_null());
  sweep.update(summary);
  EXPECT_THAT(sweep_text(sweep), HasSubstr("best: none"));
  EXPECT_THAT(html_document(sweep_page(sweep)), HasSubstr("<table>"));
}

TEST(SweepText, ShowsTheAccuracyChangeBesideTheUtilisation) {
  const std::string text = sweep_text(sample());
  EXPECT_THAT(text, HasSubstr("best: lambda1 0.1, lambda2 0: accuracy 0.8200 (+2.00 points), "
                              "utilisation soft 0.600 (+50.0 %)"));
  EXPECT_THAT(text, HasSubstr("5 points, judged on 500 held-out texts"));
}

TEST(SweepCsv, HasALineAPointAndEmptyCellsWhereThereIsNoFigure) {
  const std::string csv = sweep_csv(sample());
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 6);
  EXPECT_THAT(csv, HasSubstr("\r\n0.1,0,0.82,0.82,0.4,0.25,0.5,2,2.5,0.6,0.5,7,0.5\r\n"));
  EXPECT_THAT(csv, HasSubstr("\r\n9,9,,,,,,,,,,7,0.5\r\n"));
}

TEST(SweepPage, HasATableForEachFigureAndALineForEachLambda2) {
  const TablesPage page = sweep_page(sample());
  const std::string html = html_document(page);
  EXPECT_THAT(html, HasSubstr("<h2>Held-out accuracy</h2>"));
  EXPECT_THAT(html, HasSubstr("<td class=\"n heat\" style=\"--p:1.000\">0.8200</td>"));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  ASSERT_EQ(page.charts.size(), 2u);
  std::vector<std::string> names;
  for (const Series& line : page.charts[0].series) names.push_back(line.name);
  EXPECT_THAT(names, testing::ElementsAre("λ2 = 0", "λ2 = 0.1", "λ2 = 9"));
  EXPECT_THROW(sweep_page({{"schema", "moecollab.scale/1"}}), Error);
}

// Points on a diagonal: the table would have the square of their number.
TEST(SweepPage, RefusesATableThatNobodyCouldRead) {
  Json sweep = sample();
  sweep["points"] = Json::array();
  for (int i = 0; i < 400; ++i) sweep["points"].push_back(point(i, i, 0.8, 0.5, 0.5, 1));
  try {
    sweep_page(sweep);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DATA");
    EXPECT_THAT(error.what(), HasSubstr("400 values of lambda1 and 400 of lambda2"));
  }
}

}  // namespace
}  // namespace moecollab::evaluation
