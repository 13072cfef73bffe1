#include "evaluation/report_sections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "evaluation/report.h"
#include "evaluation/report_values.h"
#include "unit/evaluation/sample_figures.h"
#include "unit/evaluation/sample_report.h"

namespace moecollab::evaluation {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

// What follows `mark` on the lines that begin with it, up to `end`.
std::vector<std::string> after(const std::string& text, const std::string& mark,
                               const std::string& end = "") {
  std::vector<std::string> found;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(mark)) continue;
    found.push_back(line.substr(mark.size(), line.size() - mark.size() - end.size()));
  }
  return found;
}

TEST(ReportSections, AreTheKeysOfTheReportInItsOrder) {
  EXPECT_THAT(
      keys_of(report_json(sample_figures())),
      ElementsAre("schema", "domains", "overall", "diagnosis", "gate", "drift", "specialisation",
                  "training", "compute", "experts", "examples", "notes", "provenance"));
}

TEST(ReportSections, HaveARowForEveryKeyAndNoKeyTwice) {
  std::vector<std::string> rows;
  for (const Section& section : report_sections()) rows.emplace_back(section.key);
  EXPECT_EQ(std::set<std::string>(rows.begin(), rows.end()).size(), rows.size());
  EXPECT_THAT(rows, Not(Contains("schema")));
  for (const Json& report : {sample_report(), report_json(sample_figures())}) {
    for (const std::string& key : keys_of(report)) {
      if (key == "schema") continue;
      EXPECT_THAT(rows, Contains(key));
    }
  }
}

TEST(ReportSections, HaveNoTwoPartsInOnePlace) {
  const Sections sections = report_sections();
  for (std::optional<int> Placement::*document : {&Placement::markdown, &Placement::html}) {
    std::vector<int> places;
    for (const Part* part : in_order(sections, document))
      places.push_back(*(part->place.*document));
    EXPECT_GT(places.size(), 10u);
    EXPECT_TRUE(std::is_sorted(places.begin(), places.end()));
    EXPECT_EQ(std::adjacent_find(places.begin(), places.end()), places.end());
  }
}

TEST(ReportSections, StandInTheOrderOfEachDocument) {
  EXPECT_THAT(
      after(to_markdown(sample_report()), "## "),
      ElementsAre("Accuracy and macro-F1 by domain", "What sharing adds",
                  "Other systems on the same texts", "Paired comparisons", "Experts", "Gate usage",
                  "Specialisation", "Confusion matrices", "Compute", "Provenance"));
  EXPECT_THAT(after(to_html(sample_report()), "<h2>", "</h2>"),
              ElementsAre("Accuracy and macro-F1 by domain", "What sharing adds",
                          "Other systems on the same texts", "Paired comparisons", "Experts",
                          "Use of the label spaces", "Use of the experts", "Specialisation",
                          "Confusion matrices", "Gate usage", "Cost against accuracy", "Compute",
                          "Provenance"));
}

// A section as a new file would bring it: the longest label of each domain's space.
Content longest_labels(const Json& report) {
  Table table{{{"Domain"}, {"Label"}}, {}};
  for (const auto& [domain, label] : object_at(report, {"longest_labels"}).items())
    table.rows.push_back({{domain}, {label.get<std::string>()}});
  return table;
}

constexpr Part kLongestLabels[] = {{"Longest labels",
                                    "By bytes.",
                                    &longest_labels,
                                    {.markdown = 55, .html = 115, .beside = true}}};

Section longest_labels_section() {
  return {"longest_labels",
          [](const Figures& figures) {
            Json longest = Json::object();
            for (const DomainFigures& domain : figures.domains) {
              const auto& labels =
                  figures.labels.spaces()[static_cast<size_t>(domain.space)].labels;
              longest[domain.domain] = *std::max_element(
                  labels.begin(), labels.end(),
                  [](const auto& a, const auto& b) { return a.size() < b.size(); });
            }
            return longest;
          },
          kLongestLabels};
}

TEST(ReportSections, ANewRowIsInTheJsonAndInBothDocumentsAtItsPlace) {
  Sections sections = report_sections();
  sections.insert(sections.begin() + 2, longest_labels_section());
  Json report = report_json(sample_figures(), sections);
  EXPECT_EQ(report["longest_labels"], (Json{{"moods", "glad"}, {"topics", "art"}}));
  EXPECT_EQ(keys_of(report)[3], "longest_labels");

  const std::string markdown = to_markdown(report, sections);
  EXPECT_THAT(markdown, HasSubstr("## Longest labels\n\nBy bytes.\n\n| Domain | Label |\n"
                                  "|---|---|\n| moods | glad |\n| topics | art |\n"));
  EXPECT_THAT(after(markdown, "## "),
              ElementsAre("Accuracy and macro-F1 by domain", "What sharing adds",
                          "Other systems on the same texts", "Paired comparisons",
                          "Unknown domains", "Experts", "Longest labels", "Gate usage",
                          "Specialisation", "Confusion matrices", "Compute", "Provenance"));

  const std::string page = to_html(report, sections);
  const size_t row = page.find("<div class=\"pair\">\n<section>\n<h2>Gate usage</h2>"),
               added = page.find("<h2>Longest labels</h2>\n<p>By bytes.</p>\n"),
               after_row = page.find("</section>\n</div>\n<section>\n<h2>Provenance</h2>");
  ASSERT_NE(row, std::string::npos);
  ASSERT_NE(added, std::string::npos);
  ASSERT_NE(after_row, std::string::npos);
  EXPECT_LT(page.find("<h2>Compute</h2>", row), added);
  EXPECT_LT(added, after_row);

  // Without the row the same report shows nothing of it.
  EXPECT_THAT(to_markdown(report), Not(HasSubstr("Longest labels")));
  EXPECT_THAT(to_html(report), Not(HasSubstr("Longest labels")));
}

TEST(ReportSections, AreNotAskedForPartsThatADocumentHasNoPlaceFor) {
  static constexpr Part kPageOnly[] = {{"Longest labels", "", &longest_labels, {.html = 10}}};
  const Sections only = {{"longest_labels",
                          [](const Figures&) {
                            return Json{{"moods", 7}};
                          },
                          kPageOnly}};
  Json report = report_json(sample_figures(), only);
  EXPECT_EQ(to_markdown(report, only), "# MoECollab evaluation\n");
  EXPECT_THROW(to_html(report, only), std::exception);
}

TEST(ReportSections, ShowNothingOfARowWithoutParts) {
  const Sections only = {{"silent", [](const Figures&) { return Json(7); }}};
  Json report = report_json(sample_figures(), only);
  EXPECT_EQ(report["silent"], 7);
  EXPECT_EQ(to_markdown(report, only), "# MoECollab evaluation\n");
  EXPECT_THAT(to_html(report, only), Not(HasSubstr("<section>")));
}

}  // namespace
}  // namespace moecollab::evaluation
