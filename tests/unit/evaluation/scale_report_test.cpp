#include "evaluation/scale_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab::evaluation {
namespace {

using ::testing::HasSubstr;

Json pool(const char* name, int useless, const Json& change) {
  return {{"name", name},          {"experts", 4},
          {"honest", 4 - useless}, {"useless", useless},
          {"spaces", 3},           {"texts", 1234},
          {"accuracy", 0.75},      {"accuracy_task_aware", 0.8},
          {"recall_1", 0.9},       {"recall_3", 1.0},
          {"n_eff", 2.5},          {"n_eff_target", 3.0},
          {"fit_seconds", 1.25},   {"change", change}};
}

TEST(ScaleReport, SaysWhatThePoolsSay) {
  Json scale = {{"schema", kScaleSchema},
                {"kind", "lexical"},
                {"domains", {1, 2, 3}},
                {"pools", Json::array()},
                {"costs", Json::array()}};
  scale["pools"].push_back(pool("4+0", 0, nullptr));
  scale["pools"].push_back(pool("2+2", 2, {{"change", -0.015}, {"low", -0.03}, {"high", 0.0}}));
  scale["costs"].push_back({{"experts", 4},
                            {"load_seconds", 0.125},
                            {"memory_bytes", 3 << 20},
                            {"batch_32_ms", 120.5},
                            {"batch_32_ms_ratio", 1.0},
                            {"flops_32_ratio", 1.0},
                            {"batch_1_ms", 4.5},
                            {"batch_1_ms_ratio", 1.25},
                            {"flops_1_ratio", 1.5}});
  const TablesPage page = scale_page(scale);
  const std::string text = terminal_text(page), markdown = markdown_text(page);
  EXPECT_THAT(text, HasSubstr("3 pseudo-domains; kind of the experts: lexical."));
  EXPECT_THAT(markdown, HasSubstr("-3.00, +0.00"));
  for (const std::string& document : {text, markdown}) {
    EXPECT_THAT(document, HasSubstr("-1.50"));
    EXPECT_THAT(document, HasSubstr("1,234"));
    EXPECT_THAT(document, HasSubstr("3.00 MiB"));
    EXPECT_THAT(document, HasSubstr("1.250 (1.500)"));
  }
  ASSERT_EQ(page.charts.size(), 2u);
  std::vector<std::string> names;
  for (const Series& line : page.charts[0].series) names.push_back(line.name);
  EXPECT_THAT(names, testing::ElementsAre("0 % useless", "50 % useless"));
  EXPECT_THAT(page.charts[1].series[2].values, testing::ElementsAre(1.25));
}

TEST(ScaleReport, AnotherDocumentIsRefused) {
  EXPECT_THROW(scale_page({{"schema", "moecollab.ablation/1"}}), Error);
}

}  // namespace
}  // namespace moecollab::evaluation
