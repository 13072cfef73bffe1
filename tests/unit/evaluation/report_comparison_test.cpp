#include "evaluation/report_comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "evaluation/metrics.h"
#include "unit/evaluation/sample_figures.h"

namespace moecollab::evaluation {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The collaboration is right on texts 1 and 2 of four moods, and on both topics.
Json before() { return report_json(sample_figures()); }

// The third mood is right too, the second one not any more.
Json after() {
  Figures figures = sample_figures();
  figures.domains[0].answer = {0, 0, 1, 3};
  return report_json(figures);
}

// Answers within the domain's own labels alone.
Json masked() {
  Figures figures = sample_figures();
  for (DomainFigures& domain : figures.domains) {
    domain.answer.clear();
    domain.confidence.clear();
    domain.uniform_gate.clear();
  }
  return report_json(figures);
}

TEST(ReportComparison, EachReportSaysWhichTextsAreRight) {
  EXPECT_EQ(before()["domains"]["moods"]["right"], "1100");
  EXPECT_EQ(after()["domains"]["moods"]["right"], "1010");
  EXPECT_EQ(masked()["domains"]["moods"]["right"], "1101") << "its own labels alone";
}

TEST(ReportComparison, PairsTheTextsOfEachDomain) {
  const Json comparison = compare_reports(before(), after());
  const Json& moods = comparison["domains"]["moods"];
  EXPECT_EQ(moods["n"], 4);
  EXPECT_EQ(moods["before"], 0.5);
  EXPECT_EQ(moods["after"], 0.5);
  EXPECT_EQ(moods["fixed"], 1);
  EXPECT_EQ(moods["broke"], 1);
  EXPECT_EQ(moods["z"], 0);
  EXPECT_EQ(comparison["domains"]["topics"]["fixed"], 0);
  EXPECT_EQ(comparison["overall"]["n"], 6);
  EXPECT_NEAR(comparison["overall"]["after"].get<double>(), 4.0 / 6, 1e-12);
  EXPECT_TRUE(comparison["unpaired"].empty());
  EXPECT_THAT(comparison_text(comparison), HasSubstr("moods"));
}

// n 10, 5 became right and 1 wrong: (4 / 12) ± 1.96·√((7/12 − 1/9) / 12).
TEST(ReportComparison, IntervalOfAChange) {
  const Interval interval = change_interval(5, 1, 10);
  const double margin = kZ95 * std::sqrt((7.0 / 12 - 1.0 / 9) / 12);
  EXPECT_NEAR(interval.low, 1.0 / 3 - margin, 1e-12);
  EXPECT_NEAR(interval.high, 1.0 / 3 + margin, 1e-12);
  EXPECT_GT(change_interval(0, 0, 10).high, 0) << "ten equal answers do not settle it";
  EXPECT_TRUE(std::isnan(change_interval(0, 0, 0).low));
}

TEST(ReportComparison, OtherFilesAreNotPaired) {
  Figures other = sample_figures();
  other.domains[0].sha256 = "ee";
  const Json comparison = compare_reports(before(), report_json(other));
  const Json& moods = comparison["domains"]["moods"];
  EXPECT_EQ(moods["before"], 0.5);
  EXPECT_EQ(moods["change"], 0);
  EXPECT_TRUE(moods["z"].is_null());
  EXPECT_EQ(comparison["unpaired"]["moods"], "they are of other files");
  EXPECT_EQ(comparison["overall"]["n"], 2) << "topics alone";
  EXPECT_THAT(comparison_text(comparison), HasSubstr("moods is not paired: they are of other"));
}

TEST(ReportComparison, ReportsOfEarlierVersionsAreNotPaired) {
  Json old = before();
  for (Json& domain : old["domains"]) domain.erase("right");
  const Json comparison = compare_reports(old, after());
  EXPECT_EQ(comparison["domains"]["moods"]["after"], 0.5);
  EXPECT_TRUE(comparison["overall"].is_null());
  EXPECT_THAT(comparison["unpaired"]["moods"].get<std::string>(), HasSubstr("does not say which"));
  Json cut = before();
  cut["domains"]["moods"]["right"] = "11";
  EXPECT_EQ(compare_reports(before(), cut)["unpaired"]["moods"],
            "they have 4 and 2 texts of one file");
}

TEST(ReportComparison, AnswersOfOtherKindsAreNotPaired) {
  EXPECT_THAT(compare_reports(before(), masked())["unpaired"]["moods"].get<std::string>(),
              HasSubstr("own labels alone"));
  EXPECT_TRUE(compare_reports(before(), masked())["domains"]["moods"]["change"].is_null());
}

TEST(ReportComparison, NamesWhatIsInOneReportOnly) {
  Json one = before();
  one["domains"].erase("topics");
  EXPECT_EQ(compare_reports(before(), one)["only_before"], Json({"topics"}));
  EXPECT_EQ(compare_reports(one, before())["only_after"], Json({"topics"}));
  Json none = before();
  none["domains"] = Json::object();
  EXPECT_THROW(compare_reports(none, before()), Error);
  Json newer = before();
  newer["schema"] = "moecollab.report/2";
  EXPECT_THROW(compare_reports(before(), newer), Error);
}

TEST(ReportComparison, StandsOnThePagesOfTheLaterReport) {
  Json report = after();
  report["comparison"] = compare_reports(before(), report);
  Sections sections = report_sections();
  sections.push_back(comparison_section());
  EXPECT_THAT(to_html(report, sections), HasSubstr("Against the earlier report"));
  EXPECT_THAT(to_markdown(report, sections), HasSubstr("## Against the earlier report"));
  EXPECT_THAT(to_html(after(), sections), testing::Not(HasSubstr("Against the earlier report")));
}

}  // namespace
}  // namespace moecollab::evaluation
