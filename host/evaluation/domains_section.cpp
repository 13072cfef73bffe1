// What every system is worth on each domain's texts.
#include <fmt/format.h>

#include <array>
#include <numeric>

#include "evaluation/answer_scores.h"
#include "evaluation/headline_table.h"
#include "evaluation/metrics.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

Json confusion_json(const DomainFigures& domain, const std::vector<int>& ids,
                    const fusion::LabelUnion& labels) {
  if (domain.answer.empty()) return nullptr;
  const Confusion counts = confusion(domain.truth, domain.answer, ids);
  Json names = Json::array();
  for (const int id : ids) names.push_back(labels.label(id));
  return {{"labels", names}, {"matrix", counts.counts}, {"outside", counts.outside}};
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

// One table a domain that has a confusion matrix; heat is the share of the row.
Content confusions(const Json& report) {
  std::vector<FoldedTable> tables;
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    const Json& labels = array_at(domain, {"confusion", "labels"});
    const Json& matrix = array_at(domain, {"confusion", "matrix"});
    if (labels.empty()) continue;
    Table table{{{"Own label"}}, {}};
    for (const Json& label : labels) table.columns.push_back({list(Json::array({label})), true});
    for (size_t i = 0; i < labels.size() && i < matrix.size(); ++i) {
      double total = 0;
      for (const Json& value : array_at(matrix[i], {})) total += number_at(value, {}).value_or(0);
      Row row{{table.columns[i + 1].title}};
      for (size_t j = 0; j < labels.size(); ++j) {
        const auto value = j < matrix[i].size() ? number_at(matrix[i][j], {}) : std::nullopt;
        const auto heat = value && total > 0 ? std::optional(*value / total) : std::nullopt;
        row.push_back({count(value), "", heat, i == j ? Tone::kStrong : Tone::kPlain});
      }
      table.rows.push_back(std::move(row));
    }
    tables.push_back({name, std::move(table)});
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
