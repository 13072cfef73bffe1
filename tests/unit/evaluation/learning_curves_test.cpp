#include "evaluation/learning_curves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/report.h"
#include "unit/evaluation/sample_report.h"

namespace moecollab::evaluation {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json gate_line(const char* phase, int epoch, double news, double load) {
  return {{"phase", phase},
          {"epoch", epoch},
          {"terms", {{"total", 1.0 / epoch}}},
          {"held_out",
           {{"total", 1.5 / epoch},
            {"entropy", 0.7},
            {"domains", {{"news", {{"accuracy", news}}}, {"legal", {{"accuracy", 0.5}}}}},
            {"load", {{"a", load}, {"b", nullptr}}}}}};
}

Json expert_line(const char* phase, int epoch, const Json& accuracy) {
  return {{"phase", phase},    {"epoch", epoch},
          {"train_loss", 1.0}, {"held_out_loss", 2.0},
          {"seconds", 1.5},    {"held_out_accuracy", accuracy},
          {"tokens", 100},     {"peak_rss_bytes", epoch * 1000}};
}

Json sample_training() {
  return training_json({gate_line("choose", 1, 0.6, 0.2), gate_line("choose", 2, 0.8, 1.1),
                        gate_line("refit", 1, 0.9, 1.0)},
                       {{"deep",
                         {expert_line("choose", 1, 0.5), expert_line("choose", 2, 0.75),
                          expert_line("refit", 3, nullptr)}}});
}

TEST(TrainingJson, HasTheEpochsThatChoseAndTheCostOfAll) {
  const Json training = sample_training();
  ASSERT_EQ(training["gate"].size(), 2u);
  EXPECT_EQ(training["gate"][1]["accuracy"], (Json{{"news", 0.8}, {"legal", 0.5}}));
  EXPECT_EQ(training["gate"][0]["load"], (Json{{"a", 0.2}, {"b", nullptr}}));
  const Json& deep = training["experts"]["deep"];
  ASSERT_EQ(deep["epochs"].size(), 2u);
  EXPECT_EQ(deep["epochs"][1]["held_out_accuracy"], 0.75);
  // Three epochs of 1.5 s and 100 tokens, the refit among them.
  EXPECT_EQ(deep["seconds"], 4.5);
  EXPECT_EQ(deep["tokens"], 300.0);
  EXPECT_EQ(deep["peak_rss_bytes"], 3000.0);
}

TEST(TrainingJson, IsNullWithoutAGateHistory) {
  EXPECT_TRUE(training_json({}, {})["gate"].is_null());
}

TEST(LearningCharts, HaveASeriesADomainAndAnExpert) {
  Json report = sample_report();
  report["training"] = sample_training();
  const std::vector<Chart> charts = learning_charts(report);
  ASSERT_EQ(charts.size(), 4u);
  ASSERT_EQ(charts[0].series.size(), 2u);
  EXPECT_EQ(charts[0].series[0].name, "news");
  EXPECT_THAT(charts[0].series[0].values, ElementsAre(0.6, 0.8));
  ASSERT_EQ(charts[1].series.size(), 1u) << "an expert without any load is left out";
  EXPECT_THAT(charts[1].series[0].values, ElementsAre(0.2, 1.1));
  EXPECT_THAT(charts[3].series[0].values, ElementsAre(0.5, 0.75));
}

TEST(LearningCharts, AreNoneWithoutHistories) {
  EXPECT_TRUE(learning_charts(sample_report()).empty());
}

TEST(LearningCharts, StandOnThePageAndTheirCostInBothDocuments) {
  Json report = sample_report();
  report["training"] = sample_training();
  const std::string html = to_html(report);
  EXPECT_THAT(html, HasSubstr("<h2>Experts while they learn</h2>"));
  EXPECT_THAT(html, HasSubstr(R"({"name":"news","x":[],"y":[0.6,0.8],"reference":false})"));
  EXPECT_THAT(to_markdown(report), HasSubstr("| deep | 2 | 4.5 | 300 | 2.93 KiB |"));
}

}  // namespace
}  // namespace moecollab::evaluation
