#include "evaluation/ablation_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab::evaluation {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json change(double points) {
  return {{"n", 10},          {"before", 0.5},       {"after", 0.5 + points},
          {"change", points}, {"low", points - 0.1}, {"high", points + 0.1},
          {"z", 1.5},         {"fixed", 2},          {"broke", 1}};
}

Json figures(double accuracy) {
  return {
      {"domains", {{"<b>news", {{"n", 10}, {"classes", 4}, {"accuracy_task_aware", accuracy}}}}},
      {"overall",
       {{"n", 10}, {"accuracy", accuracy}, {"accuracy_task_aware", accuracy}, {"n_eff", nullptr}}}};
}

Json step(const char* group, const std::string& name, const Json& gate) {
  return {{"group", group},
          {"name", name},
          {"gate", gate},
          {"kind", nullptr},
          {"failure", nullptr},
          {"figures", figures(0.5)},
          {"change", {{"overall", change(-0.25)}, {"domains", {{"<b>news", change(-0.25)}}}}}};
}

Json ablation() {
  return {{"schema", "moecollab.ablation/1"},
          {"reference", figures(0.75)},
          {"steps", Json::array()},
          {"impact", Json::array()}};
}

TEST(AblationReport, SaysWhatTheStepsSay) {
  Json document = ablation();
  document["steps"].push_back(step("fusion", "paper", "same"));
  document["steps"].push_back(step("experts", "words|<i>", "same"));
  document["impact"].push_back({{"expert", "words|<i>"},
                                {"upgrade", nullptr},
                                {"change", -0.25},
                                {"change_refitted", nullptr},
                                {"through_gate", nullptr}});
  const TablesPage page = ablation_page(document);
  const std::string text = terminal_text(page), markdown = markdown_text(page);
  EXPECT_THAT(text, HasSubstr("accuracy 0.750, domain told 0.750, 10 texts"));
  EXPECT_THAT(text, HasSubstr("-25.00"));
  EXPECT_THAT(text, HasSubstr("words|<i>"));
  EXPECT_THAT(text, Not(HasSubstr("Gradients"))) << "no such step";
  EXPECT_THAT(markdown, HasSubstr("-35.00, -15.00"));
  EXPECT_THAT(markdown, Not(HasSubstr("<b>")));
  EXPECT_THAT(markdown, Not(HasSubstr("<i>")));
}

TEST(AblationReport, AnUpgradeStandsBesideARemovalAndSaysIfItIsRefused) {
  Json document = ablation();
  const Json removed = step("experts", "words", "same");
  Json upgraded = step("upgrades", "words", "same");
  upgraded["version"] = "1.0.1";
  upgraded["change"]["overall"] = change(0.5);
  Json refused = step("upgrades", "deep", "same");
  refused["version"] = "2.0.0";
  refused["figures"] = refused["change"] = nullptr;
  refused["failure"] = "deep: weights.safetensors is damaged";
  document["steps"] = {removed, upgraded, refused};
  for (const auto& [version, points] : {std::pair<Json, double>{nullptr, -0.25}, {"1.0.1", 0.5}}) {
    document["impact"].push_back({{"expert", "words"},
                                  {"upgrade", version},
                                  {"change", points},
                                  {"change_refitted", nullptr},
                                  {"through_gate", nullptr}});
  }
  const std::vector<Chart> charts = ablation_page(document).charts;
  ASSERT_EQ(charts.size(), 2u);
  EXPECT_THAT(charts[0].labels, testing::ElementsAre("words")) << "upgrades are no removals";
  EXPECT_THAT(charts[0].series[0].values, testing::ElementsAre(-25.0));
  EXPECT_THAT(charts[0].series[1].values, testing::ElementsAre(std::nullopt));
  const std::string text = terminal_text(ablation_page(document));
  const size_t upgrades = text.find("With a higher version of an expert");
  ASSERT_NE(upgrades, std::string::npos);
  EXPECT_THAT(text.substr(0, upgrades), HasSubstr("-25.00"));
  EXPECT_THAT(text.substr(upgrades), HasSubstr("+50.00"));
  EXPECT_THAT(text.substr(upgrades), HasSubstr("1.0.1"));
  EXPECT_THAT(text.substr(upgrades), HasSubstr("weights.safetensors is damaged"));
}

TEST(AblationReport, AFitThatDivergedIsShownAsSuch) {
  Json document = ablation();
  Json failed = step("gate", "mlp", "refitted");
  failed["figures"] = failed["change"] = nullptr;
  failed["failure"] = "ten steps in a row are not finite";
  document["steps"].push_back(failed);
  EXPECT_THAT(terminal_text(ablation_page(document)),
              HasSubstr("ten steps in a row are not finite"));
}

TEST(AblationReport, AnotherDocumentIsRefused) {
  for (const Json& document :
       {Json{{"schema", "moecollab.sweep/1"}}, Json::object(), Json(nullptr)}) {
    try {
      terminal_text(ablation_page(document));
      ADD_FAILURE() << document.dump();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_DATA");
    }
  }
}

}  // namespace
}  // namespace moecollab::evaluation
