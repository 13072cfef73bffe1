// From figures to the report's JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/report.h"
#include "unit/evaluation/sample_figures.h"

namespace moecollab::evaluation {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> opponents(Json report) {
  std::vector<std::string> names;
  for (const Json& test : report["overall"]["mcnemar"]) names.push_back(test["vs"]);
  return names;
}

TEST(ReportFigures, JudgeEverySystemOnEachDomain) {
  Json report = report_json(sample_figures());
  Json& moods = report["domains"]["moods"];
  EXPECT_EQ(moods["n"], 4);
  EXPECT_EQ(moods["label_space"], "mood/1");
  EXPECT_EQ(moods["expert"]["name"], "feel");
  EXPECT_EQ(moods["moe"]["accuracy"], 0.5);
  // sad: tp 1, fp 1, fn 1; glad: tp 1, fp 0, fn 1: (2/4 + 2/3)/2.
  EXPECT_DOUBLE_EQ(moods["moe"]["macro_f1"], (0.5 + 2.0 / 3) / 2);
  EXPECT_EQ(moods["moe"]["accuracy_task_aware"], 0.75);
  EXPECT_EQ(moods["oracle"]["accuracy"], 1.0);
  EXPECT_EQ(moods["majority"]["accuracy"], 0.5);
  EXPECT_TRUE(moods["multi_task_head"].is_null());
  EXPECT_EQ(moods["routing_accuracy"], 0.75);
  EXPECT_EQ(moods["confusion"]["labels"], (Json{"sad", "glad"}));
  EXPECT_EQ(moods["confusion"]["matrix"], (Json{{1, 0}, {1, 1}}));
  EXPECT_EQ(moods["confusion"]["outside"], (Json{1, 0}));
  EXPECT_EQ(report["domains"]["topics"]["routing_accuracy"], 1.0);
}

TEST(ReportFigures, JudgeAllTextsTogether) {
  Json report = report_json(sample_figures());
  Json& overall = report["overall"];
  EXPECT_DOUBLE_EQ(overall["accuracy"], 4.0 / 6);
  EXPECT_DOUBLE_EQ(overall["domain_mean"], (0.5 + 1) / 2);
  EXPECT_DOUBLE_EQ(overall["oracle_accuracy"], 5.0 / 6);
  EXPECT_DOUBLE_EQ(overall["gap_to_oracle"], 5.0 / 6 - 4.0 / 6);
  EXPECT_DOUBLE_EQ(overall["routing_accuracy"], 5.0 / 6);
  // The three surest of six (0.95, 0.9, 0.8) are right.
  EXPECT_EQ(overall["coverage"]["0.5"], 1.0);
  EXPECT_EQ(overall["truncated"], 3);
  EXPECT_THAT(opponents(report), ElementsAre("expert", "oracle", "majority", "uniform_gate"));
  // The oracle is right on texts 3 and 4 of moods, the answer on text 2 of topics.
  EXPECT_EQ(overall["mcnemar"][1]["fixed"], 1);
  EXPECT_EQ(overall["mcnemar"][1]["broke"], 2);
}

// Mean shares (0.9 + 0.8 + 0.7 + 0.4 + 0.1 + 0.2)/6 = 3.1/6 and 2.9/6; ideal 4/6 and 2/6.
TEST(ReportFigures, SayHowTheGateIsUsed) {
  Json report = report_json(sample_figures());
  Json& gate = report["gate"];
  EXPECT_EQ(gate["fusion"], "mixture");
  EXPECT_EQ(gate["fitted_fusion"], "masked");
  EXPECT_EQ(gate["top_k"], 2);
  EXPECT_NEAR(gate["load"]["feel"], 3.1 / 4, 1e-12);
  EXPECT_NEAR(gate["load_space"]["topic/1"], 2.9 / 2, 1e-12);
  EXPECT_EQ(gate["dead"], Json::array());
  EXPECT_EQ(gate["objective"], (Json{{"lambda1", 0.5}, {"lambda2", 0.25}}));
  // Means of the domains: feel 0.7 and 0.15.
  EXPECT_NEAR(report["specialisation"]["matrix"]["feel"]["moods"], 0.7 / 0.85, 1e-12);
}

// Six texts: (600·1 + 60)/6 + 5 operations each, against (600·3 + 120)/6 + 5.
TEST(ReportFigures, SayWhatTheTextsCost) {
  Json cost = report_json(sample_figures())["compute"];
  EXPECT_EQ(cost["encoder_forwards_per_text"], 1.0);
  EXPECT_EQ(cost["flops_per_text"], 115.0);
  EXPECT_EQ(cost["flops_b0_per_text"], 325.0);
  EXPECT_DOUBLE_EQ(cost["saved"], 1 - 115.0 / 325);
  // Two experts, each an encoder of its own: 600·2/6 + 5.
  EXPECT_EQ(cost["flops_b1_per_text"], 205.0);
  EXPECT_DOUBLE_EQ(cost["saved_b1"], 1 - 115.0 / 205);
  EXPECT_EQ(cost["texts_per_second"], 2.0);
}

// Confidences .9 .8 .6 .5 of moods (right, right, wrong, wrong), .7 .95 of topics (right, right),
// in fifteenths: .95 in the last, .9 in the 14th (.867 to .933], and so on, one text each.
TEST(ReportFigures, SayWhereConfidenceIsWorthWhatItSays) {
  const Json overall = report_json(sample_figures())["overall"];
  ASSERT_EQ(overall["reliability"].size(), 6u);
  const Json& last = overall["reliability"][5];
  EXPECT_DOUBLE_EQ(last["low"], 14.0 / 15);
  EXPECT_EQ(last["high"], 1.0);
  EXPECT_EQ(last["n"], 1);
  EXPECT_DOUBLE_EQ(last["confidence"], 0.95);
  EXPECT_EQ(last["accuracy"], 1.0);
  EXPECT_EQ(overall["reliability"][0]["accuracy"], 0.0) << "of .5";
  ASSERT_EQ(overall["coverage_curve"].size(), 20u);
  EXPECT_EQ(overall["coverage_curve"][0]["coverage"], 0.05);
  EXPECT_EQ(overall["coverage_curve"][0]["accuracy"], 1.0);
  EXPECT_DOUBLE_EQ(overall["coverage_curve"][19]["accuracy"], overall["accuracy"]);
}

// Nobody asked for law: topics' F1 of art and sea are 1, of law 0.
TEST(ReportFigures, LabelsWithoutATextAreNamedAndLeftOutOfOneMean) {
  const Json report = report_json(sample_figures());
  EXPECT_DOUBLE_EQ(report["domains"]["topics"]["moe"]["macro_f1"], 2.0 / 3);
  EXPECT_DOUBLE_EQ(report["domains"]["topics"]["macro_f1_present"], 1.0);
  EXPECT_EQ(report["domains"]["moods"]["macro_f1_present"],
            report["domains"]["moods"]["moe"]["macro_f1"]);
  EXPECT_THAT(report["notes"],
              testing::Contains("1 of the 3 labels of topic/1 have no text in domain topics (law): "
                                "macro_f1 counts them as 0, macro_f1_present leaves them out"));
}

// moods without mood/1: of .9 .5 .4 .3 against .4 .1 (2 + 2 + 1.5 + 1) / 8. topics without topic/1:
// of .35 .15 against .1 .2 .3 .4 (3 + 1) / 8.
TEST(ReportFigures, SayHowAnUnknownDomainStandsOut) {
  Figures figures = sample_figures();
  const Json unknown = report_json(figures)["overall"]["unknown_domain"];
  EXPECT_DOUBLE_EQ(unknown["auroc"]["moods"], 6.5 / 8);
  EXPECT_DOUBLE_EQ(unknown["auroc"]["topics"], 0.5);
  EXPECT_DOUBLE_EQ(unknown["mean"], (6.5 / 8 + 0.5) / 2);
  figures.domains.pop_back();
  const Json alone = report_json(figures)["overall"]["unknown_domain"];
  EXPECT_TRUE(alone["auroc"]["moods"].is_null()) << "there are no others";
  EXPECT_TRUE(alone["mean"].is_null());
}

// Three passes per text, whole ones, and every expert: (600·3 + 120)/6 + 5.
TEST(ReportFigures, SayWhatTheSeparateArrangementCosts) {
  Figures figures = sample_figures();
  EXPECT_EQ(report_json(figures)["compute"]["arrangement"], "shared");
  figures.compute.arrangement = Arrangement::kSeparate;
  figures.compute.forwards = 3 * 6;
  figures.compute.cache_hits = 0;
  const Json cost = report_json(figures)["compute"];
  EXPECT_EQ(cost["arrangement"], "separate");
  EXPECT_EQ(cost["flops_per_text"], cost["flops_b0_per_text"]);
  EXPECT_EQ(cost["saved"], 0.0);
}

// Two of six texts continued from layer 2 to layer 4: (400·1 + 60)/6 + 5 against (500·1 + 60)/6
// + 5.
TEST(ReportFigures, SayWhatTheCascadeSaves) {
  Figures figures = sample_figures();
  EXPECT_TRUE(report_json(figures)["compute"]["cascade"].is_null()) << "the gate reads the last";
  figures.compute.cascade = {.gate_layer = 2,
                             .deepest_layer = 4,
                             .encoder_layers = 6,
                             .flops = 400,
                             .flops_without = 500,
                             .layers = 4 * 2 + 2 * 4,
                             .stopped = 4};
  const Json report = report_json(figures);
  const Json& cascade = report["compute"]["cascade"];
  const double with = 460.0 / 6 + 5, without = 560.0 / 6 + 5;
  EXPECT_EQ(cascade["gate_layer"], 2);
  EXPECT_EQ(cascade["deepest_layer"], 4);
  EXPECT_DOUBLE_EQ(cascade["stopped"], 4.0 / 6);
  EXPECT_DOUBLE_EQ(cascade["layers_per_text"], 16.0 / 6);
  EXPECT_DOUBLE_EQ(cascade["flops_per_text"], with);
  EXPECT_DOUBLE_EQ(cascade["flops_without_per_text"], without);
  EXPECT_DOUBLE_EQ(cascade["saved"], 1 - with / without);
  EXPECT_DOUBLE_EQ(report["compute"]["flops_per_text"], with);
  EXPECT_EQ(report["compute"]["flops_b0_per_text"], 325.0) << "of whole passes";
  const std::string markdown = to_markdown(report);
  EXPECT_THAT(markdown, HasSubstr("| Cascade from layer 2 | 66.7 % | 2.67 | 81.67 FLOP | 0.667 |"));
  EXPECT_THAT(markdown, HasSubstr("as any expert reads | – | 4.00 | 98.33 FLOP | 0.667 |"));
  EXPECT_THAT(to_markdown(report_json(sample_figures())), Not(HasSubstr("Cascade")));
}

TEST(ReportFigures, LeaveNullWhatIsNotKnown) {
  Json report = report_json(sample_figures());
  EXPECT_EQ(report["experts"][0]["version"], "1.2.3");
  EXPECT_TRUE(report["experts"][0]["code"].is_null());
  EXPECT_TRUE(report["experts"][1]["sha256"].is_null());
  EXPECT_EQ(report["experts"][1]["code"], "E_REG_MISSING");
  EXPECT_TRUE(report["training"].is_null());
  EXPECT_TRUE(report["provenance"]["registry_lock_sha256"].is_null());
  EXPECT_EQ(report["provenance"]["train_overlap"], (Json{{"moods", 1}, {"topics", nullptr}}));
  EXPECT_EQ(report["notes"][0], "multi_task_head is null: there is none");
}

// Truth 0 1 1 0: equal shares say 0 1 0 1, the fitted ones 0 1 0 0.
TEST(ReportFigures, SayWhatFittedSharesAddToEqualOnes) {
  const Json report = report_json(sample_figures());
  const Json& equal = report["domains"]["moods"]["equal_shares"];
  EXPECT_EQ(equal["accuracy"], 0.5);
  EXPECT_EQ(equal["mcnemar"], (Json{{"z", 1.0}, {"fixed", 1}, {"broke", 0}}));
  EXPECT_TRUE(report["domains"]["topics"]["equal_shares"].is_null()) << "an expert was not asked";
}

TEST(ReportFigures, SayWhyThereIsNoUniformGate) {
  Figures figures = sample_figures();
  figures.domains[1].uniform_gate.clear();
  Json report = report_json(figures);
  EXPECT_TRUE(report["domains"]["topics"]["uniform_gate"].is_null());
  EXPECT_THAT(opponents(report), ElementsAre("expert", "oracle", "majority"));
  ASSERT_EQ(report["notes"].size(), 3u);
  EXPECT_THAT(report["notes"][2].get<std::string>(), HasSubstr("not asked for every text"));
}

TEST(ReportFigures, KeepToTheOwnSpaceUnderAFusionThatAnswersNoOther) {
  Figures figures = sample_figures();
  for (DomainFigures& domain : figures.domains) {
    domain.answer.clear();
    domain.confidence.clear();
    domain.uniform_gate.clear();
  }
  Json report = report_json(figures);
  Json& moods = report["domains"]["moods"];
  EXPECT_TRUE(moods["moe"]["accuracy"].is_null());
  EXPECT_EQ(moods["moe"]["accuracy_task_aware"], 0.75);
  EXPECT_TRUE(moods["confusion"].is_null());
  for (const char* key :
       {"accuracy", "domain_mean", "macro_f1", "gap_to_oracle", "ece", "coverage"})
    EXPECT_TRUE(report["overall"][key].is_null()) << key;
  EXPECT_EQ(opponents(report), std::vector<std::string>());
  EXPECT_DOUBLE_EQ(report["overall"]["accuracy_task_aware"], 5.0 / 6);
  ASSERT_EQ(report["notes"].size(), 3u);
  EXPECT_THAT(report["notes"][2].get<std::string>(), HasSubstr("no answer over all labels"));
}

TEST(ReportFigures, CanBeShownAsTheyAre) {
  Json report = report_json(sample_figures());
  EXPECT_THAT(terminal_table(report), HasSubstr("0.667"));
  EXPECT_THAT(to_markdown(report), HasSubstr("| **mixture** (the gate was fitted under masked)"));
  EXPECT_THAT(to_html(report), HasSubstr("E_REG_MISSING"));
}

}  // namespace
}  // namespace moecollab::evaluation
