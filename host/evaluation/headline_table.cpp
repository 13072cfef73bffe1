#include "evaluation/headline_table.h"

#include <fmt/format.h>

#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

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
                            : over_domains(report, metric, {"oracle", key});
  return {{first ? "all" : "", "", {}, Tone::kStrong},
          {kMetricNames[metric]},
          {score(over_domains(report, metric, {"baseline", key}))},
          {score(over_domains(report, metric, {"expert", key}))},
          {score(number_at(report, {"overall", key})), "", {}, Tone::kStrong},
          {score(oracle)},
          {score(over_domains(report, metric, {"moe", aware}))},
          {first ? score(number_at(report, {"overall", "routing_accuracy"})) : ""},
          {first ? count(texts) : ""}};
}

}  // namespace

std::optional<double> over_domains(const Json& report, int metric, Path key) {
  Mean mean;
  for (const auto& [name, domain] : object_at(report, {"domains"}).items()) {
    const bool by_texts = metric == 0;
    mean.add(number_at(value_at(domain, key), {}), by_texts ? number_at(domain, {"n"}) : 1.0);
  }
  return mean.value();
}

Table headline_table(const Json& report) {
  Table table{{{"Domain"},
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

}  // namespace moecollab::evaluation
