// Texts that the collaboration fixed or broke.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/strings.h"
#include "evaluation/profile.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

constexpr size_t kExamples = 20;
constexpr double kLeastShare = 0.01;  // that a page shows
constexpr size_t kShownBytes = 300;   // of a text on a page; an abstract would fill it

Json example_json(const Figures& figures, const DomainFigures& domain,
                  const ChangedAnswer& changed) {
  const auto named = [&](int label) { return answer_name(figures.labels, label); };
  Json shares = Json::object(), answers = Json::object();
  for (size_t e = 0; e < figures.gate.experts.size(); ++e) {
    shares[figures.gate.experts[e]] = number(changed.shares[e]);
    answers[figures.gate.experts[e]] =
        changed.own[e] ? Json(named(*changed.own[e])) : Json(nullptr);
  }
  return {{"domain", domain.domain},
          {"line", changed.line},
          {"outcome", changed.fixed() ? "fixed" : "broke"},
          {"text", changed.text},
          {"label", named(changed.truth)},
          {"answer", named(changed.answer)},
          {"expert_answer", named(changed.expert_answer)},
          {"shares", shares},
          {"answers", answers}};
}

// In turns of the domains, and of the fixed and the broken ones of each, as long as there are any.
Json examples_json(const Figures& figures) {
  Json examples = Json::array();
  const auto nth = [](const DomainFigures& domain, bool fixed, size_t n) -> const ChangedAnswer* {
    for (const ChangedAnswer& changed : domain.examples)
      if (changed.fixed() == fixed && n-- == 0) return &changed;
    return nullptr;
  };
  for (size_t n = 0; n < kExamples; ++n) {
    for (const bool fixed : {true, false}) {
      for (const DomainFigures& domain : figures.domains) {
        const ChangedAnswer* changed = nth(domain, fixed, n);
        if (changed != nullptr && examples.size() < kExamples)
          examples.push_back(example_json(figures, domain, *changed));
      }
    }
  }
  return examples;
}

// "0.93 news-deep: business; …" of each expert that counts, the greatest share first. A label's
// space is that of its expert.
std::string opinions(const Json& example) {
  std::vector<std::pair<double, std::string>> all;
  for (const auto& [expert, value] : object_at(example, {"shares"}).items()) {
    const double share = number_at(example, {"shares", expert}).value_or(0);
    if (share < kLeastShare) continue;
    const std::string answer = text_or_none(text_at(example, {"answers", expert}));
    const size_t space = answer.find(": ");
    all.emplace_back(share, fmt::format("{} {}: {}", decimal(share, 2), expert,
                                        space == answer.npos ? answer : answer.substr(space + 2)));
  }
  std::ranges::stable_sort(all, std::greater(), [](const auto& entry) { return entry.first; });
  std::string text;
  for (const auto& [share, line] : all) text += (text.empty() ? "" : "; ") + line;
  return text;
}

Content examples(const Json& report) {
  Table table{
      {{"Text"}, {"Own label"}, {"MoECollab"}, {"Best expert"}, {"Shares, and own answers"}}, {}};
  for (const Json& example : array_at(report, {"examples"})) {
    const auto value = [&](std::string_view key) { return text_or_none(text_at(example, {key})); };
    const bool fixed = value("outcome") == "fixed";
    table.rows.push_back(
        {{escaped(value("text"), kShownBytes), value("domain") + ", line " + value("line")},
         {value("label")},
         {value("answer"), value("outcome"), {}, fixed ? Tone::kStrong : Tone::kWarning},
         {value("expert_answer")},
         {opinions(example)}});
  }
  return table;
}

constexpr Part kExamplesParts[] = {
    {"Answers that were fixed or broken",
     "Texts that only the collaboration (fixed) or only the domain's best expert (broke) answers "
     "right, the surest answers first. The best expert knows the domain. Long texts are cut; the "
     "JSON has them whole.",
     &examples,
     {.markdown = 85, .html = 95}}};

}  // namespace

Section examples_section() { return {"examples", &examples_json, kExamplesParts}; }

}  // namespace moecollab::evaluation
