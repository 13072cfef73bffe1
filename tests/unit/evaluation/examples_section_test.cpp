#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/report.h"
#include "unit/evaluation/sample_figures.h"

namespace moecollab::evaluation {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

ChangedAnswer changed(int64_t line, int truth, int answer, int expert_answer) {
  return {line,         "text " + std::to_string(line), truth, answer, expert_answer,
          {0.75, 0.25}, {answer, std::nullopt}};
}

TEST(Examples, AreShownInTurnsOfKindsAndDomains) {
  Figures figures = sample_figures();
  figures.domains[0].examples = {changed(1, 0, 0, 1), changed(2, 0, 1, 0), changed(3, 1, 1, 0)};
  figures.domains[1].examples = {changed(9, 2, 2, 3)};
  const Json examples = report_json(figures)["examples"];
  std::vector<std::string> order;
  for (const Json& example : examples)
    order.push_back(example["outcome"].get<std::string>() + example["line"].dump());
  EXPECT_THAT(order, testing::ElementsAre("fixed1", "fixed9", "broke2", "fixed3"));
  EXPECT_EQ(examples[0], (Json{{"domain", "moods"},
                               {"line", 1},
                               {"outcome", "fixed"},
                               {"text", "text 1"},
                               {"label", "mood/1: sad"},
                               {"answer", "mood/1: sad"},
                               {"expert_answer", "mood/1: glad"},
                               {"shares", {{"feel", 0.75}, {"know", 0.25}}},
                               {"answers", {{"feel", "mood/1: sad"}, {"know", nullptr}}}}));
}

TEST(Examples, AreTwentyAtMost) {
  Figures figures = sample_figures();
  for (int i = 0; i < 15; ++i) {
    figures.domains[0].examples.push_back(changed(i, 0, 0, 1));
    figures.domains[0].examples.push_back(changed(100 + i, 0, 1, 0));
  }
  const Json examples = report_json(figures)["examples"];
  ASSERT_EQ(examples.size(), 20u);
  EXPECT_EQ(examples[19]["line"], 109);
}

TEST(Examples, AreATableOfBothDocumentsWithSharesThatCount) {
  Figures figures = sample_figures();
  figures.domains[0].examples = {changed(7, 0, 0, 1)};
  figures.domains[0].examples[0].shares = {0.995, 0.005};
  const Json report = report_json(figures);
  EXPECT_THAT(to_markdown(report),
              AllOf(HasSubstr("| text 7 (moods, line 7) | mood/1: sad | **mood/1: sad** (fixed) | "
                              "mood/1: glad | 0.99 feel: sad |"),
                    Not(HasSubstr("know: "))));
  EXPECT_THAT(to_html(report), HasSubstr("Answers that were fixed or broken"));
  figures.domains[0].examples.clear();
  EXPECT_THAT(to_html(report_json(figures)), Not(HasSubstr("Answers that were fixed or broken")));
}

TEST(Examples, OfLongTextsOnlyTheBeginIsOnThePage) {
  Figures figures = sample_figures();
  figures.domains[0].examples = {changed(7, 0, 0, 1)};
  figures.domains[0].examples[0].text = std::string(300, 'a') + std::string(900, 'b');
  const Json report = report_json(figures);
  EXPECT_EQ(report["examples"][0]["text"].get<std::string>().size(), 1200u);
  for (const std::string& page : {to_markdown(report), to_html(report)})
    EXPECT_THAT(page, AllOf(HasSubstr(std::string(300, 'a') + "…"), Not(HasSubstr("abbb"))));
}

// 30 labels of one text each: the matrix would not be read, so the page lists mistakes.
TEST(Confusions, OfManyLabelsAreTheirMostFrequentMistakes) {
  Figures figures = sample_figures();
  std::vector<std::string> names;
  for (int i = 0; i < 30; ++i) names.push_back("label" + std::to_string(i));
  figures.labels.add({"wide/1", names}, false);
  DomainFigures wide = figures.domains[1];
  wide.domain = "wide";
  wide.space = 2;
  const int first = figures.labels.range(2).offset;
  wide.truth = {first, first, first + 1, first + 2};
  wide.answer = wide.answer_aware = {first + 5, first + 5, first + 1, first + 3};
  wide.expert_answer = wide.baseline = wide.majority = wide.uniform_gate = wide.truth;
  wide.confidence = {0.5, 0.5, 0.5, 0.5};
  wide.gate = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
  wide.entropy_without.clear();
  figures.domains = {wide};
  const Json report = report_json(figures);
  const Json& confusion = report["domains"]["wide"]["confusion"];
  EXPECT_EQ(confusion["matrix"].size(), 30u);
  EXPECT_EQ(confusion["mistakes"],
            (Json{{{"label", "label0"}, {"answer", "wide/1: label5"}, {"n", 2}},
                  {{"label", "label2"}, {"answer", "wide/1: label3"}, {"n", 1}}}));
  EXPECT_THAT(to_markdown(report), AllOf(HasSubstr("The most frequent mistakes among 30 labels."),
                                         HasSubstr("| label0 | wide/1: label5 | 2 |")));
}

// 5,000 labels would make a matrix of 25 million numbers.
TEST(Confusions, OfVeryManyLabelsHaveNoMatrix) {
  Figures figures = sample_figures();
  std::vector<std::string> names;
  for (int i = 0; i < 5000; ++i) names.push_back("label" + std::to_string(i));
  figures.labels.add({"wide/1", names}, false);
  DomainFigures& topics = figures.domains[1];
  topics.space = 2;
  topics.truth = {figures.labels.range(2).offset, figures.labels.range(2).offset + 4999};
  const Json confusion = report_json(figures)["domains"]["topics"]["confusion"];
  EXPECT_TRUE(confusion["matrix"].is_null());
  EXPECT_EQ(confusion["labels"].size(), 5000u);
  EXPECT_EQ(confusion["mistakes"].size(), 2u);
}

}  // namespace
}  // namespace moecollab::evaluation
