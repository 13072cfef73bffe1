// What is wrong with the collaboration, as far as this run shows it.
#include <fmt/format.h>

#include "base/strings.h"
#include "evaluation/diagnosis.h"
#include "evaluation/report.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

Json diagnosis_json(const Figures& figures) {
  Json list = Json::array();
  for (const Finding& finding : diagnose(figures)) {
    list.push_back({{"sign", finding.sign},
                    {"subject", finding.subject},
                    {"figure", number(finding.figure)},
                    {"threshold", finding.threshold},
                    {"says", finding.says},
                    {"remedy", finding.remedy}});
  }
  return list;
}

Content findings(const Json& report) {
  Table table{
      {{"Sign"}, {"Of"}, {"Figure", true}, {"Threshold", true}, {"What was seen"}, {"What to do"}},
      {}};
  for (const Json& finding : array_at(report, {"diagnosis"})) {
    table.rows.push_back({{text_or_none(text_at(finding, {"sign"})), "", {}, Tone::kWarning},
                          {text_or_none(text_at(finding, {"subject"}))},
                          {decimal(number_at(finding, {"figure"}), 3)},
                          {decimal(number_at(finding, {"threshold"}), 3)},
                          {text_or_none(text_at(finding, {"says"}))},
                          {text_or_none(text_at(finding, {"remedy"}))}});
  }
  return table;
}

constexpr Part kDiagnosisParts[] = {
    {"Diagnosis",
     "Signs that were found; nothing else of docs/report.md's list was.",
     &findings,
     {.markdown = 15, .html = 15}}};

}  // namespace

std::string diagnosis_text(const Json& report) {
  std::string text;
  for (const Json& finding : array_at(report, {"diagnosis"})) {
    const std::string subject = text_at(finding, {"subject"}).value_or("");
    text += fmt::format("{}{}: {}; {}\n", text_or_none(text_at(finding, {"sign"})),
                        subject.empty() ? "" : " " + escaped(subject),
                        text_or_none(text_at(finding, {"says"})),
                        text_or_none(text_at(finding, {"remedy"})));
  }
  return text.empty() ? text : "\n" + text;
}

Section diagnosis_section() { return {"diagnosis", &diagnosis_json, kDiagnosisParts}; }

}  // namespace moecollab::evaluation
