#include "evaluation/precision_comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/report.h"
#include "unit/evaluation/sample_figures.h"
#include "unit/evaluation/sample_report.h"

namespace moecollab::evaluation {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// n texts of label 0: all right in the gate's precision but for `fixed`, which the other precision
// gets right; it breaks `broke` others.
PrecisionAnswers texts(const std::string& domain, int n, int fixed, int broke) {
  PrecisionAnswers all{domain, "digest of " + domain, std::vector<int>(static_cast<size_t>(n)),
                       std::vector<int>(static_cast<size_t>(n)),
                       std::vector<int>(static_cast<size_t>(n))};
  for (int i = 0; i < fixed; ++i) all.against[static_cast<size_t>(i)] = 1;
  for (int i = 0; i < broke; ++i) all.answers[static_cast<size_t>(n - 1 - i)] = 1;
  return all;
}

registry::PrecisionRecord compared(const std::vector<PrecisionAnswers>& domains,
                                   const std::vector<std::string>& untested = {}) {
  registry::PrecisionRecord record;
  record.precision = Precision::kInt8;
  compare_precisions(domains, untested, record);
  record.texts_per_second_against = 100;
  record.texts_per_second = 250;
  return record;
}

TEST(PrecisionComparison, CountsPerDomainAndOverAll) {
  PrecisionAnswers odd = texts("odd", 4, 1, 0);
  odd.truth = {0, 0, 0, 5};
  odd.against = {1, 0, 0, 2};
  odd.answers = {0, 0, 0, 3};  // wrong in both, and another answer: a flip, no change
  const registry::PrecisionRecord record = compared({texts("plain", 16, 0, 0), odd});
  ASSERT_EQ(record.domains.size(), 2U);
  const registry::PrecisionChange& second = record.domains[1];
  EXPECT_EQ(second.domain, "odd");
  EXPECT_EQ(second.data, "digest of odd");
  EXPECT_EQ(second.n, 4);
  EXPECT_EQ(second.accuracy_against, 0.5);
  EXPECT_EQ(second.accuracy, 0.75);
  EXPECT_EQ(second.fixed, 1);
  EXPECT_EQ(second.broke, 0);
  EXPECT_EQ(second.z, 1.0);
  EXPECT_EQ(second.flips, 2);
  EXPECT_EQ(record.domains[0].flips, 0);
  EXPECT_EQ(record.overall.n, 20);
  EXPECT_EQ(record.overall.flips, 2);
  EXPECT_EQ(record.overall.accuracy_against, 18.0 / 20);
  EXPECT_TRUE(record.passes());
}

TEST(PrecisionComparison, TheBar) {
  const struct {
    std::vector<PrecisionAnswers> domains;
    std::vector<std::string> untested;
    std::vector<std::string> reasons;  // a fragment of each
  } cases[] = {
      {{texts("a", 1000, 0, 0)}, {}, {}},
      {{texts("a", 1000, 3, 8)}, {}, {}},  // exactly half a point
      {{texts("a", 1000, 3, 9)}, {}, {"falls by 0.60 points"}},
      {{texts("a", 200, 0, 1), texts("b", 200, 0, 1)}, {}, {}},
      // Half a point over all, but one domain alone pays: z = -√5.
      {{texts("a", 100, 0, 5), texts("b", 900, 0, 0)}, {}, {"a is significantly worse: 5 answers"}},
      {{texts("a", 100, 1, 5), texts("b", 900, 0, 0)}, {}, {}},  // z = -1.63
      {{texts("a", 100, 0, 20)}, {}, {"falls by 20.00 points", "a is significantly worse"}},
      {{texts("a", 100, 20, 0)}, {}, {}},
      {{texts("a", 100, 0, 0)}, {"topic/1"}, {"no text of label space topic/1"}},
  };
  for (const auto& one : cases) {
    const registry::PrecisionRecord record = compared(one.domains, one.untested);
    ASSERT_EQ(record.reasons.size(), one.reasons.size()) << testing::PrintToString(record.reasons);
    for (size_t i = 0; i < one.reasons.size(); ++i)
      EXPECT_THAT(record.reasons[i], HasSubstr(one.reasons[i]));
    EXPECT_EQ(record.passes(), one.reasons.empty());
  }
}

TEST(PrecisionComparison, AnswersAreThoseOverTheUnionIfThereAreSome) {
  const Figures figures = sample_figures();
  std::vector<DomainFigures> against = figures.domains;
  against[0].answer = {0, 1, 1, 0};
  const auto paired = paired_answers(against, figures.domains);
  EXPECT_THAT(paired[0].against, ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(paired[0].answers, ElementsAre(0, 1, 0, 3));
  EXPECT_EQ(paired[1].data, "bb");
  std::vector<DomainFigures> aware = figures.domains;
  aware[0].answer.clear();
  EXPECT_THAT(paired_answers(aware, aware)[0].answers, ElementsAre(0, 1, 0, 0));
}

TEST(PrecisionComparison, EveryLabelSpaceOfTheGateNeedsTexts) {
  Figures figures = sample_figures();
  EXPECT_THAT(untested_spaces(figures), IsEmpty());
  figures.domains.pop_back();
  EXPECT_THAT(untested_spaces(figures), ElementsAre("topic/1"));
}

TEST(PrecisionComparison, ATablePerDomainAndTheVerdict) {
  const std::string good = precision_text(registry::to_json(compared({texts("moods", 8, 1, 1)})));
  EXPECT_THAT(good, HasSubstr("Domain  n   fp32   int8  fixed  broke     z  flips"));
  EXPECT_THAT(good, HasSubstr("moods   8  87.50  87.50      1      1  0.00      2"));
  EXPECT_THAT(good, HasSubstr("all     8"));
  EXPECT_THAT(good, HasSubstr("fp32: 100 texts/s, int8: 250 texts/s; int8 passes\n"));
  const std::string bad = precision_text(registry::to_json(compared({texts("moods", 8, 0, 1)})));
  EXPECT_THAT(bad, HasSubstr("int8 does not pass: accuracy falls by 12.50 points"));
}

TEST(PrecisionComparison, TheDocumentsShowItIfThereIsOne) {
  Json report = sample_report();
  EXPECT_THAT(to_markdown(report), Not(HasSubstr("## Precision")));
  report["precision"] = registry::to_json(compared({texts("moods", 8, 0, 1)}));
  const std::string markdown = to_markdown(report);
  EXPECT_THAT(markdown,
              HasSubstr("- int8 against fp32: **does not pass** (accuracy falls by 12.50"));
  EXPECT_THAT(markdown, HasSubstr("| moods | 8 | 100.0 % | 87.5 % | 0 | 1 | "));
  EXPECT_THAT(markdown, HasSubstr("| all | 8 | "));
  const std::string html = to_html(report);
  EXPECT_THAT(html, HasSubstr("does not pass"));
  EXPECT_THAT(html, HasSubstr("moods"));
  report["precision"] = registry::to_json(compared({texts("moods", 8, 1, 1)}));
  EXPECT_THAT(to_markdown(report), HasSubstr("**passes** (250 texts/s in int8, 100 in fp32)"));
}

}  // namespace
}  // namespace moecollab::evaluation
