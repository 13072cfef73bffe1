#include "evaluation/report_tables.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

using Row = std::vector<Cell>;

constexpr char kSchema[] = "moecollab.report/1";
constexpr std::array<const char*, 2> kMetricKeys{"accuracy", "macro_f1"};
constexpr std::array<const char*, 2> kMetricNames{"accuracy", "macro-F1"};

// Averages of the domains: weighted by their texts for accuracy, even for macro-F1. No value if one
// domain has none, because a mean over the others would be read as a mean over all.
class Mean {
 public:
  void add(std::optional<double> value, std::optional<double> weight) {
    complete_ = complete_ && value && weight;
    if (complete_) sum_ += *value * *weight, weight_ += *weight;
  }
  std::optional<double> value() const {
    return complete_ && weight_ > 0 ? std::optional(sum_ / weight_) : std::nullopt;
  }

 private:
  double sum_ = 0, weight_ = 0;
  bool complete_ = true;
};

std::optional<double> domain_mean(const Json& report, int metric, Path key) {
  Mean mean;
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    const bool by_texts = metric == 0;
    mean.add(number_at(value_at(domain, key), {}), by_texts ? number_at(domain, {"n"}) : 1.0);
  }
  return mean.value();
}

// "0.826–0.873" of a two-element array of numbers, else "".
std::string interval(const Json& bounds) {
  if (!bounds.is_array() || bounds.size() != 2 || !bounds[0].is_number() ||
      !bounds[1].is_number()) {
    return "";
  }
  return fmt::format("{:.3f}–{:.3f}", bounds[0].get<double>(), bounds[1].get<double>());
}

Row domain_row(const std::string& name, const Json& domain, int metric) {
  const char* key = kMetricKeys[metric];
  const bool first = metric == 0;
  const std::string aware = fmt::format("{}_task_aware", key);
  return {{first ? name : "", first ? text_at(domain, {"label_space"}).value_or("") : ""},
          {kMetricNames[metric]},
          {score(number_at(domain, {"baseline", key}))},
          {score(number_at(domain, {"expert", key})),
           first ? text_at(domain, {"expert", "name"}).value_or("") : ""},
          {score(number_at(domain, {"moe", key})),
           interval(value_at(domain, {"moe", first ? "accuracy_ci" : "macro_f1_ci"})),
           {},
           Tone::kStrong},
          {score(number_at(domain, {"oracle", key}))},
          {score(number_at(domain, {"moe", aware}))},
          {first ? score(number_at(domain, {"routing_accuracy"})) : ""},
          {first ? count(number_at(domain, {"n"})) : ""}};
}

Row overall_row(const Json& report, int metric) {
  const char* key = kMetricKeys[metric];
  const bool first = metric == 0;
  const std::string aware = fmt::format("{}_task_aware", key);
  double texts = 0;
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    texts += number_at(domain, {"n"}).value_or(0);
  }
  const auto oracle = first ? number_at(report, {"overall", "oracle_accuracy"})
                            : domain_mean(report, metric, {"oracle", key});
  return {{first ? "all" : "", "", {}, Tone::kStrong},
          {kMetricNames[metric]},
          {score(domain_mean(report, metric, {"baseline", key}))},
          {score(domain_mean(report, metric, {"expert", key}))},
          {score(number_at(report, {"overall", key})), "", {}, Tone::kStrong},
          {score(oracle)},
          {score(domain_mean(report, metric, {"moe", aware}))},
          {first ? score(number_at(report, {"overall", "routing_accuracy"})) : ""},
          {first ? count(texts) : ""}};
}

// The domain of the greatest p(d|e), or nullopt.
std::optional<std::pair<std::string, double>> own_domain(const Json& report,
                                                         const std::string& expert) {
  std::optional<std::pair<std::string, double>> best;
  for (const auto& [domain, unused] :
       object_at(report, {"specialisation", "matrix", expert}).items()) {
    const auto share = number_at(report, {"specialisation", "matrix", expert, domain});
    if (share && (!best || *share > best->second)) best = {domain, *share};
  }
  return best;
}

bool contains(const Json& values, const std::string& name) {
  for (const Json& value : values) {
    if (value.is_string() && value.get_ref<const std::string&>() == name) return true;
  }
  return false;
}

Row expert_row(const Json& report, const Json& expert) {
  const std::string name = text_or_none(text_at(expert, {"name"}));
  const std::string state = text_or_none(text_at(expert, {"state"}));
  const auto faults = number_at(expert, {"faults"});
  const auto calls = number_at(expert, {"calls"});
  const auto own = own_domain(report, name);
  const bool is_idle = contains(array_at(report, {"gate", "idle"}), name);
  const bool refused = state.starts_with("refused") || state.starts_with("quarantined");
  return {
      {name, text_at(expert, {"version"}).value_or("")},
      {state, text_at(expert, {"code"}).value_or(""), {}, refused ? Tone::kWarning : Tone::kPlain},
      {text_or_none(text_at(expert, {"isolation"}))},
      {count(calls), "", {}, calls == 0.0 ? Tone::kWarning : Tone::kPlain},
      {count(faults), "", {}, faults.value_or(0) > 0 ? Tone::kWarning : Tone::kPlain},
      {decimal(number_at(report, {"gate", "load", name}), 2),
       is_idle ? "idle" : "",
       {},
       is_idle ? Tone::kWarning : Tone::kPlain},
      {own ? own->first : kNoValue, own ? percent(own->second) : ""},
      {score(number_at(report, {"specialisation", "per_expert", name}))},
      {text_at(expert, {"sha256"}).value_or(kNoValue).substr(0, 12)}};
}

}  // namespace

void require_report(const Json& report) {
  const auto schema = report.is_object() ? text_at(report, {"schema"}) : std::nullopt;
  if (schema == kSchema) return;
  throw Error("E_DATA",
              fmt::format("not a report: the schema is `{}`, expected `{}`",
                          escaped(schema.value_or("absent"), 60), kSchema),
              "write one with `moecollab eval --report FILE.json`");
}

Table headline_table(const Json& report) {
  Table table{"Accuracy and macro-F1 by domain",
              "MoECollab answers over the labels of all domains together, without being told the "
              "domain; Task-aware is told it. Expert: the domain's best expert alone. Oracle: "
              "perfect routing to it. Small print: 95 % interval.",
              {{"Domain"},
               {"Metric"},
               {"Baseline", true},
               {"Expert", true},
               {"MoECollab", true},
               {"Oracle", true},
               {"Task-aware", true},
               {"Routing", true},
               {"n", true}},
              {}};
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    for (const int metric : {0, 1}) table.rows.push_back(domain_row(name, domain, metric));
  }
  for (const int metric : {0, 1}) table.rows.push_back(overall_row(report, metric));
  return table;
}

Table comparison_table(const Json& report) {
  static constexpr std::array<const char*, 4> kSystems{"majority", "uniform_gate",
                                                       "multi_task_head", "multi_task_deep"};
  Table table{"Other systems on the same texts",
              "Majority: the most frequent label. Uniform gate: every expert the same share. "
              "Multi-task: one model for all labels, a linear head or a deep one.",
              {{"Domain"},
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

Table paired_table(const Json& report) {
  Table table{"Paired comparisons",
              "McNemar's z on the same texts; beyond ±1.96 the difference is significant at 95 %. "
              "Expert: both are told the domain; oracle: only it is.",
              {{"MoECollab against"}, {"Fixed", true}, {"Broke", true}, {"z", true}, {"Reading"}},
              {}};
  for (const Json& pair : array_at(report, {"overall", "mcnemar"})) {
    const auto z = number_at(pair, {"z"});
    const bool significant = z && std::abs(*z) >= 1.96;
    const char* reading = !z             ? kNoValue
                          : !significant ? "no clear difference"
                          : *z > 0       ? "better"
                                         : "worse";
    table.rows.push_back(
        {{text_or_none(text_at(pair, {"vs"}))},
         {count(number_at(pair, {"fixed"}))},
         {count(number_at(pair, {"broke"}))},
         {z ? fmt::format("{:+.2f}", *z) : kNoValue},
         {reading, "", {}, significant && *z < 0 ? Tone::kWarning : Tone::kPlain}});
  }
  return table;
}

Table experts_table(const Json& report) {
  Table table{"Experts",
              "Load: share of the gate's mass over the ideal share, 1 is ideal. Own domain: where "
              "the expert is used most, with p(d|e).",
              {{"Expert"},
               {"State"},
               {"Isolation"},
               {"Calls", true},
               {"Faults", true},
               {"Load", true},
               {"Own domain"},
               {"Specialisation", true},
               {"SHA-256"}},
              {}};
  for (const Json& expert : array_at(report, {"experts"})) {
    table.rows.push_back(expert_row(report, expert));
  }
  return table;
}

Table specialisation_table(const Json& report) {
  Table table{"Specialisation",
              "p(d|e): where the mass of each expert falls, domains weighted equally (equation 6). "
              "Score: 1 − S(e)/ln D, from 0 (everywhere) to 1 (one domain).",
              {{"Expert"}},
              {}};
  const Json& domains = object_at(report, {"domains"});
  for (const auto& [domain, unused] : domains.items()) table.columns.push_back({domain, true});
  table.columns.push_back({"Score", true});
  for (const auto& [expert, unused] : object_at(report, {"specialisation", "matrix"}).items()) {
    Row row{{expert}};
    for (const auto& [domain, unused_too] : domains.items()) {
      const auto share = number_at(report, {"specialisation", "matrix", expert, domain});
      row.push_back({decimal(share, 2), "", share});
    }
    row.push_back({score(number_at(report, {"specialisation", "per_expert", expert}))});
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<Table> confusion_tables(const Json& report) {
  std::vector<Table> tables;
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    const Json& labels = array_at(domain, {"confusion", "labels"});
    const Json& matrix = array_at(domain, {"confusion", "matrix"});
    if (labels.empty()) continue;
    Table table{name, "", {{"Own label"}}, {}};
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
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace moecollab::evaluation
