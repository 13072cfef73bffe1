// What every system is worth on each domain's texts.
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
          {"oracle", scores(domain.truth, domain.expert_answer, ids)},
          {"uniform_gate", scores_or_null(domain.truth, domain.uniform_gate, ids)},
          {"multi_task_head", scores_or_null(domain.truth, domain.multi_task_head, ids)},
          {"multi_task_deep", scores_or_null(domain.truth, domain.multi_task_deep, ids)},
          {"routing_accuracy", routing_accuracy(figures, domain)},
          {"confusion", confusion_json(domain, ids, labels)}};
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
    {"Confusion matrices",
     "Rows are the texts’ own labels, columns the answers.",
     &confusions,
     {.markdown = 80, .html = 90}},
};

}  // namespace

Section domains_section() { return {"domains", &domains_json, kDomainsParts}; }

}  // namespace moecollab::evaluation
