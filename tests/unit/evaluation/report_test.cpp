#include "evaluation/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <regex>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "unit/evaluation/sample_report.h"

namespace moecollab::evaluation {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kHostile[] = "<script>alert('x')</script>\" onmouseover=\"y|z`&\x1b[2J\n";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

// Every tag of the page's own in order, with its attributes.
std::vector<std::string> tags_of(const std::string& page) {
  static const std::regex tag("<[^>]*>");
  const std::string html = page.substr(0, page.find("</main>"));  // the script that draws follows
  return {std::sregex_token_iterator(html.begin(), html.end(), tag), {}};
}

// Every place of the document, containers included.
std::vector<Json::json_pointer> places(const Json& report) {
  std::vector<Json::json_pointer> out;
  const Json leaves = report.flatten();
  for (const auto& [path, value] : leaves.items()) {
    for (Json::json_pointer p(path); !p.empty(); p.pop_back()) out.push_back(p);
  }
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.to_string() < b.to_string(); });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

TEST(TerminalTable, HasThePapersColumnsAndOurs) {
  const auto lines = lines_of(terminal_table(sample_report()));
  ASSERT_EQ(lines.size(), 1u + 2 * 4 + 2);
  EXPECT_THAT(words_of(lines[0]), ElementsAre("Domain", "Metric", "Baseline", "Expert", "MoECollab",
                                              "Oracle", "Task-aware", "Routing", "n"));
  EXPECT_THAT(words_of(lines[1]), ElementsAre("general", "accuracy", "0.491", "0.807", "0.801",
                                              "0.807", "0.805", "0.981", "872"));
  EXPECT_THAT(words_of(lines[2]),
              ElementsAre("macro-F1", "0.391", "0.795", "0.786", "0.795", "0.792"));
}

// Baseline over all 4,406 texts: (872·0.491 + 2000·0.211 + 1140·0.263 + 394·0.188) / 4406
// = (428.152 + 422 + 299.82 + 74.072) / 4406 = 0.277813; expert (703.704 + 1768 + 1004.34
// + 237.976) / 4406 = 0.842946; task-aware (0.805·872 + 0.883·2000 + 0.881·1140 + 0.598·394) / 4406
// = 3707.912/4406 = 0.841560.
// Macro-F1, even mean: baseline (0.391 + 0.111 + 0.163 + 0.088)/4 = 0.18825; expert and oracle
// (0.795 + 0.872 + 0.869 + 0.592)/4 = 0.782; task-aware (0.792 + 0.870 + 0.868 + 0.585)/4 =
// 0.77875.
TEST(TerminalTable, OverallLinesAreOverAllTextsAndMeansOfDomains) {
  const auto lines = lines_of(terminal_table(sample_report()));
  EXPECT_THAT(words_of(lines[9]), ElementsAre("all", "accuracy", "0.278", "0.843", "0.842", "0.848",
                                              "0.842", "0.976", "4,406"));
  EXPECT_THAT(words_of(lines[10]),
              ElementsAre("macro-F1", "0.188", "0.782", "0.773", "0.782", "0.779"));
}

TEST(TerminalTable, AlignsColumnsByDisplayWidth) {
  Json report = sample_report();
  report["domains"]["医療"] = report["domains"]["medical"];  // 6 bytes, 2 characters, 4 columns
  report["domains"]["santé"] = nullptr;
  const auto lines = lines_of(terminal_table(report));
  const size_t metric = lines[0].find("Metric");
  EXPECT_EQ(lines[3].find("accuracy"), metric);
  EXPECT_EQ(lines[9].find("accuracy"), metric + 6 - 4);
  EXPECT_EQ(lines[11].find("accuracy"), metric + 1);  // é takes two bytes
  // Numbers end where their title ends.
  EXPECT_EQ(lines[1].find("0.491") + 5, lines[0].find("Baseline") + 8);
}

TEST(TerminalTable, ShowsNullAsADash) {
  Json report = sample_report();
  report["domains"]["general"]["moe"] = nullptr;
  report["domains"]["general"].erase("routing_accuracy");
  const auto lines = lines_of(terminal_table(report));
  EXPECT_THAT(words_of(lines[1]),
              ElementsAre("general", "accuracy", "0.491", "0.807", "–", "0.807", "–", "–", "872"));
  // A mean over the other domains would be read as one over all.
  EXPECT_THAT(words_of(lines[9])[6], "–");
}

TEST(TerminalTable, EscapesControlBytes) {
  Json report = sample_report();
  report["domains"][kHostile] = report["domains"]["general"];
  const std::string text = terminal_table(report);
  EXPECT_THAT(text, AllOf(HasSubstr("\\x1b[2J\\x0a"), Not(HasSubstr("\x1b"))));
}

TEST(Report, RefusesAnotherSchema) {
  for (const Json& report : {Json::object(), Json(nullptr), Json::array(), Json{{"schema", 1}},
                             Json{{"schema", "moecollab.report/2"}}}) {
    try {
      to_html(report);
      FAIL() << to_line(report);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_DATA");
      EXPECT_THAT(error.what(), HasSubstr("moecollab.report/1"));
      EXPECT_NE(error.hint(), "");
    }
    EXPECT_THROW(to_markdown(report), Error);
    EXPECT_THROW(terminal_table(report), Error);
  }
}

TEST(Report, RendersWithNothingMeasured) {
  const Json empty{{"schema", "moecollab.report/1"}};
  EXPECT_EQ(lines_of(terminal_table(empty)).size(), 3u);
  EXPECT_THAT(to_html(empty), HasSubstr("–"));
  EXPECT_THAT(to_markdown(empty), HasSubstr("–"));
}

// The page is made of every table that the other two show.
TEST(Report, AnyValueMayBeNull) {
  const Json sample = sample_report();
  for (const auto& place : places(sample)) {
    if (place.to_string() == "/schema") continue;
    Json report = sample;
    report[place] = nullptr;
    EXPECT_NO_THROW(to_html(report)) << place.to_string();
  }
}

TEST(Report, ValuesOfAnotherTypeAreRefusedOrShown) {
  int refused = 0;
  const Json sample = sample_report();
  for (const auto& place : places(sample)) {
    for (const Json& wrong : {Json("text"), Json{{"key", 1}}}) {
      Json report = sample;
      report[place] = wrong;
      try {
        to_html(report);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), "E_DATA") << place.to_string();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 200);
}

TEST(Report, NamesTheValueOfAnotherType) {
  Json report = sample_report();
  report["domains"]["news"]["moe"]["accuracy"] = "0.9";
  report["overall"]["ece"] = Json::array();
  try {
    to_html(report);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("overall.ece"), HasSubstr("array"), HasSubstr("a number")));
  }
}

TEST(Markdown, HoldsEveryTableAndEscapesCells) {
  Json report = sample_report();
  report["experts"][2]["name"] = kHostile;
  const std::string text = to_markdown(report);
  for (const char* title :
       {"# MoECollab evaluation", "## Accuracy and macro-F1 by domain", "## Paired comparisons",
        "## Experts", "## Gate usage", "## Specialisation", "## Confusion matrices", "### news",
        "## Compute", "## Provenance"}) {
    EXPECT_THAT(lines_of(text), testing::Contains(StartsWith(title)));
  }
  EXPECT_THAT(text, HasSubstr("**0.801** (0.780–0.820)"));
  EXPECT_THAT(text, HasSubstr("\\<script\\>"));
  EXPECT_THAT(text, HasSubstr("y\\|z\\`\\&"));
  EXPECT_FALSE(std::regex_search(text, std::regex("[^\\\\]<")));
}

TEST(Markdown, EveryRowHasAsManyCellsAsItsHeader) {
  size_t width = 0;
  for (const std::string& line : lines_of(to_markdown(sample_report()))) {
    const size_t cells = std::count(line.begin(), line.end(), '|');
    if (width != 0 && cells != 0) {
      EXPECT_EQ(cells, width) << line;
    }
    width = cells;
  }
}

TEST(Html, HoldsEveryTableAndFigure) {
  const std::string page = to_html(sample_report());
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  for (const char* part : {"Accuracy and macro-F1 by domain",
                           "Other systems on the same texts",
                           "Paired comparisons",
                           "Gate usage",
                           "Specialisation",
                           "Confusion matrices",
                           "Compute",
                           "Provenance",
                           "0.780–0.820",
                           "79.9 %",
                           "172,345",
                           "1.38 GFLOP",
                           "700.00 MiB",
                           "7 texts also in training data",
                           "E_PLUG_DIGEST",
                           "better",
                           "worse",
                           "no clear difference",
                           "0.99 of the target",
                           "style=\"--p:0.930\""}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

TEST(Html, LoadsNothing) {
  const std::string page = to_html(sample_report()), body = page.substr(0, page.find("</main>"));
  EXPECT_THAT(body, HasSubstr("default-src 'none'"));
  for (const char* part : {"http://", "https://", "<script>", "<link", "<img", "<iframe", "src=\"",
                           "href=", "url(", "@import"}) {
    EXPECT_THAT(body, Not(HasSubstr(part)));
  }
}

TEST(Html, WarnsOfAGateFittedUnderAnotherFusion) {
  Json report = sample_report();
  EXPECT_THAT(to_html(report), Not(HasSubstr("was fitted under")));
  report["gate"]["fitted_fusion"] = "logit-union";
  EXPECT_THAT(to_html(report), HasSubstr("the gate was fitted under logit-union"));
}

// Strangers choose names and labels: whatever they write, the page keeps its tags.
TEST(Html, HostileTextNeverBecomesATag) {
  const auto put = [](Json report, const std::string& text) {
    for (const auto& place : places(report)) {
      Json& value = report[place];
      if (value.is_string() && place.to_string() != "/schema") value = text;
    }
    Json& domains = report["domains"];
    domains[text] = domains["news"];
    report["specialisation"]["matrix"][text] = report["specialisation"]["matrix"]["news"];
    report["gate"]["load"][text] = 1;
    report["gate"]["objective"][text] = text;
    report["provenance"]["data"][text] = text;
    return report;
  };
  const auto harmless = tags_of(to_html(put(sample_report(), "harmless")));
  EXPECT_EQ(tags_of(to_html(put(sample_report(), kHostile))), harmless);
  EXPECT_GT(harmless.size(), 500u);
}

TEST(Html, IsTheSameAfterTheReportWasStored) {
  EXPECT_EQ(to_html(sample_report()), to_html(parse_json(to_text(sample_report()))));
}

}  // namespace
}  // namespace moecollab::evaluation
