// What every system is worth on each domain's texts.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <numeric>

#include "base/strings.h"
#include "evaluation/answer_scores.h"
#include "evaluation/headline_table.h"
#include "evaluation/metrics.h"
#include "evaluation/profile.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

constexpr size_t kMostLabels = 500;  // of a matrix in the report
constexpr size_t kMostShown = 24;    // of a matrix that a page shows
constexpr size_t kMostOfName = 40;   // bytes of a label above its column
constexpr size_t kMistakes = 20;

// What is most often answered instead of what, ties in the order of the labels.
Json mistakes_json(const DomainFigures& domain, const fusion::LabelUnion& labels) {
  std::map<std::pair<int, int>, int64_t> counts;
  for (size_t i = 0; i < domain.truth.size(); ++i)
    if (domain.truth[i] != domain.answer[i]) ++counts[{domain.truth[i], domain.answer[i]}];
  std::vector<std::pair<std::pair<int, int>, int64_t>> most(counts.begin(), counts.end());
  std::ranges::stable_sort(most, std::greater(), [](const auto& entry) { return entry.second; });
  if (most.size() > kMistakes) most.resize(kMistakes);
  Json json = Json::array();
  for (const auto& [pair, n] : most) {
    json.push_back({{"label", labels.label(pair.first)},
                    {"answer", answer_name(labels, pair.second)},
                    {"n", n}});
  }
  return json;
}

// A matrix of very many labels would be larger than all else together.
Json confusion_json(const DomainFigures& domain, const std::vector<int>& ids,
                    const fusion::LabelUnion& labels) {
  if (domain.answer.empty()) return nullptr;
  Json names = Json::array();
  for (const int id : ids) names.push_back(labels.label(id));
  Json json = {{"labels", names},
               {"matrix", nullptr},
               {"outside", nullptr},
               {"mistakes", mistakes_json(domain, labels)}};
  if (ids.size() > kMostLabels) return json;
  const Confusion counts = confusion(domain.truth, domain.answer, ids);
  json["matrix"] = counts.counts;
  json["outside"] = counts.outside;
  return json;
}

Json moe_json(const DomainFigures& domain, const std::vector<int>& ids) {
  Json moe = scores(domain.truth, domain.answer, ids);
  moe["accuracy_task_aware"] = accuracy(domain.truth, domain.answer_aware);
  moe["macro_f1_task_aware"] = macro_f1(domain.truth, domain.answer_aware, ids);
  const std::vector<int>& judged = domain.answer.empty() ? domain.answer_aware : domain.answer;
  const std::vector<int> correct = correctness(domain.truth, judged);
  const Interval ci = wilson(std::accumulate(correct.begin(), correct.end(), int64_t{0}),
                             static_cast<int64_t>(correct.size()));
  moe["accuracy_ci"] = {ci.low, ci.high};
  moe["mcnemar_task_aware"] = paired(domain.truth, domain.expert_answer, domain.answer_aware);
  return moe;
}

// {"accuracy", "macro_f1", "mcnemar"}: the last against it, where both know the domain.
Json equal_shares_json(const DomainFigures& domain, const std::vector<int>& ids) {
  Json json = scores_or_null(domain.truth, domain.equal_shares, ids);
  if (!json.is_null())
    json["mcnemar"] = paired(domain.truth, domain.equal_shares, domain.answer_aware);
  return json;
}

// "0" or "1" for each text, in their order: what a later report is paired with.
std::string right_texts(const DomainFigures& domain) {
  const std::vector<int>& judged = domain.answer.empty() ? domain.answer_aware : domain.answer;
  std::string right;
  for (const int correct : correctness(domain.truth, judged)) right += correct == 1 ? '1' : '0';
  return right;
}

Json domain_json(const Figures& figures, const DomainFigures& domain) {
  const fusion::LabelUnion& labels = figures.labels;
  const std::vector<int> ids = label_ids(labels, domain.space);
  Json expert = {{"name", domain.best_expert}};
  expert.update(scores(domain.truth, domain.expert_answer, ids));
  return {{"n", domain.truth.size()},
          {"label_space", labels.spaces()[static_cast<size_t>(domain.space)].name},
          {"baseline", scores(domain.truth, domain.baseline, ids)},
          {"majority", scores(domain.truth, domain.majority, ids)},
          {"expert", expert},
          {"moe", moe_json(domain, ids)},
          {"macro_f1_present", domain.answer.empty() ? Json(nullptr)
                                                     : Json(macro_f1(domain.truth, domain.answer,
                                                                     present(ids, domain.truth)))},
          {"oracle", scores(domain.truth, domain.expert_answer, ids)},
          {"uniform_gate", scores_or_null(domain.truth, domain.uniform_gate, ids)},
          {"equal_shares", equal_shares_json(domain, ids)},
          {"multi_task_head", scores_or_null(domain.truth, domain.multi_task_head, ids)},
          {"multi_task_deep", scores_or_null(domain.truth, domain.multi_task_deep, ids)},
          {"routing_accuracy", routing_accuracy(figures, domain)},
          {"confusion", confusion_json(domain, ids, labels)},
          {"right", right_texts(domain)}};
}

Json domains_json(const Figures& figures) {
  Json domains = Json::object();
  for (const DomainFigures& domain : figures.domains)
    domains[domain.domain] = domain_json(figures, domain);
  return domains;
}

Content headline(const Json& report) { return headline_table(report); }

Content comparison(const Json& report) {
  static constexpr std::array<const char*, 4> kSystems{"majority", "uniform_gate",
                                                       "multi_task_head", "multi_task_deep"};
  Table table{{{"Domain"},
               {"Metric"},
               {"Majority", true},
               {"Uniform gate", true},
               {"Multi-task head", true},
               {"Multi-task deep", true},
               {"MoECollab", true}},
              {}};
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    for (const int metric : {0, 1}) {
      Row row{{metric == 0 ? name : ""}, {kMetricNames[metric]}};
      for (const char* system : kSystems) {
        row.push_back({score(number_at(domain, {system, kMetricKeys[metric]}))});
      }
      row.push_back(
          {score(number_at(domain, {"moe", kMetricKeys[metric]})), "", {}, Tone::kStrong});
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

std::string signed_z(std::optional<double> z) { return z ? fmt::format("{:+.1f}", *z) : kNoValue; }

Content what_sharing_adds(const Json& report) {
  Table table{{{"Domain"},
               {"Best expert", true},
               {"Equal shares", true},
               {"Fitted shares", true},
               {"z: best expert", true},
               {"z: equal shares", true},
               {"MoECollab", true}},
              {}};
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    const auto of = [&](Path path) { return number_at(domain, path); };
    table.rows.push_back({{name},
                          {score(of({"expert", "accuracy"}))},
                          {score(of({"equal_shares", "accuracy"}))},
                          {score(of({"moe", "accuracy_task_aware"}))},
                          {signed_z(of({"moe", "mcnemar_task_aware", "z"}))},
                          {signed_z(of({"equal_shares", "mcnemar", "z"}))},
                          {score(of({"moe", "accuracy"})), "", {}, Tone::kStrong}});
  }
  return table;
}

Table mistakes_table(const Json& confusion) {
  Table table{{{"Own label"}, {"Answer"}, {"Texts", true}}, {}};
  for (const Json& mistake : array_at(confusion, {"mistakes"})) {
    table.rows.push_back({{text_or_none(text_at(mistake, {"label"}))},
                          {text_or_none(text_at(mistake, {"answer"}))},
                          {count(number_at(mistake, {"n"}))}});
  }
  return table;
}

// Heat is the share of the row.
Table matrix_table(const Json& confusion) {
  const Json& labels = array_at(confusion, {"labels"});
  const Json& matrix = array_at(confusion, {"matrix"});
  Table table{{{"Own label"}}, {}};
  const auto name = [](const Json& label) { return list(Json::array({label})); };
  for (const Json& label : labels)
    table.columns.push_back({escaped(name(label), kMostOfName), true});
  for (size_t i = 0; i < labels.size() && i < matrix.size(); ++i) {
    double total = 0;
    for (const Json& value : array_at(matrix[i], {})) total += number_at(value, {}).value_or(0);
    Row row{{name(labels[i])}};
    for (size_t j = 0; j < labels.size(); ++j) {
      const auto value = j < matrix[i].size() ? number_at(matrix[i][j], {}) : std::nullopt;
      const auto heat = value && total > 0 ? std::optional(*value / total) : std::nullopt;
      row.push_back({count(value), "", heat, i == j ? Tone::kStrong : Tone::kPlain});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

// One table a domain: its matrix, or of very many labels the mistakes that are most frequent.
Content confusions(const Json& report) {
  std::vector<TitledTable> tables;
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    const Json& confusion = object_at(domain, {"confusion"});
    const size_t labels = array_at(confusion, {"labels"}).size();
    if (labels == 0) continue;
    if (labels <= kMostShown) {
      tables.push_back({name, "", matrix_table(confusion)});
    } else {
      tables.push_back({name, fmt::format("The most frequent mistakes among {} labels.", labels),
                        mistakes_table(confusion)});
    }
  }
  return tables;
}

constexpr Part kDomainsParts[] = {
    {"Accuracy and macro-F1 by domain",
     "MoECollab answers over the labels of all domains together, without being told the domain; "
     "Task-aware is told it. Expert: the domain's best expert alone. Oracle: perfect routing to "
     "it. Small print: 95 % interval.",
     &headline,
     {.markdown = 20, .html = 20}},
    {"Other systems on the same texts",
     "Majority: the most frequent label. Uniform gate: every expert the same share. Multi-task: "
     "one model for all labels, a linear head or a deep one.",
     &comparison,
     {.markdown = 30, .html = 30}},
    {"What sharing adds",
     "Accuracy on each domain’s texts. Best expert, equal and fitted shares of the domain’s own "
     "experts all know the domain; MoECollab does not. z: McNemar's of the fitted shares against "
     "the best expert and against equal shares; beyond ±1.96 the difference is significant at 95 "
     "%.",
     &what_sharing_adds,
     {.markdown = 25, .html = 25}},
    {"Confusion matrices",
     "Rows are the texts’ own labels, columns the answers.",
     &confusions,
     {.markdown = 80, .html = 90}},
};

}  // namespace

Section domains_section() { return {"domains", &domains_json, kDomainsParts}; }

}  // namespace moecollab::evaluation
