#include "evaluation/scale_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "evaluation/report_values.h"
#include "evaluation/tables_page.h"

namespace moecollab::evaluation {
namespace {

Table pools_table(const Json& scale) {
  Table table;
  table.columns = {
      {"experts", true},  {"useless", true},     {"label spaces", true},       {"texts", true},
      {"accuracy", true}, {"domain told", true}, {"recall@1", true},           {"recall@3", true},
      {"n_eff", true},    {"fit, s", true},      {"without the useless", true}};
  for (const Json& pool : array_at(scale, {"pools"})) {
    const auto figure = [&](std::string_view key) { return number_at(pool, {key}); };
    const Json& change = value_at(pool, {"change"});
    table.rows.push_back({{count(figure("experts"))},
                          {count(figure("useless"))},
                          {count(figure("spaces"))},
                          {count(figure("texts"))},
                          {score(figure("accuracy"))},
                          {score(figure("accuracy_task_aware"))},
                          {score(figure("recall_1"))},
                          {score(figure("recall_3"))},
                          {decimal(figure("n_eff"), 2), decimal(figure("n_eff_target"), 2)},
                          {decimal(figure("fit_seconds"), 1)},
                          {points(number_at(change, {"change"})), bounds(change)}});
  }
  return table;
}

std::string beside(const Json& pool, std::string_view measured, std::string_view predicted) {
  return fmt::format("{} ({})", decimal(number_at(pool, {measured}), 3),
                     decimal(number_at(pool, {predicted}), 3));
}

Table costs_table(const Json& scale) {
  Table table;
  table.columns = {
      {"experts", true},           {"loaded in, s", true},       {"memory", true},
      {"32 texts, ms", true},      {"ratio (operations)", true}, {"1 text, top-2, ms", true},
      {"ratio (operations)", true}};
  for (const Json& pool : array_at(scale, {"costs"})) {
    const auto figure = [&](std::string_view key) { return number_at(pool, {key}); };
    table.rows.push_back({{count(figure("experts"))},
                          {decimal(figure("load_seconds"), 2)},
                          {bytes(figure("memory_bytes"))},
                          {decimal(figure("batch_32_ms"), 2)},
                          {beside(pool, "batch_32_ms_ratio", "flops_32_ratio")},
                          {decimal(figure("batch_1_ms"), 2)},
                          {beside(pool, "batch_1_ms_ratio", "flops_1_ratio")}});
  }
  return table;
}

// Accuracy over the number of experts, a line for each share of useless ones.
Chart accuracy_chart(const Json& scale) {
  Chart chart{
      "Accuracy over the number of experts", "A line for each share of useless experts.", {}};
  chart.x_title = "experts";
  chart.y_title = "accuracy";
  for (const Json& pool : array_at(scale, {"pools"})) {
    const auto experts = number_at(pool, {"experts"}), useless = number_at(pool, {"useless"});
    if (!experts || !useless || *experts <= 0) continue;
    const std::string name = fmt::format("{:.0f} % useless", 100 * *useless / *experts);
    auto series = std::ranges::find(chart.series, name, &Series::name);
    if (series == chart.series.end()) series = chart.series.insert(series, {name, {}});
    series->x.push_back(*experts);
    series->values.push_back(number_at(pool, {"accuracy"}));
  }
  return chart;
}

// Time against the smallest pool's, measured and as the operations would have it.
Chart latency_chart(const Json& scale) {
  Chart chart{"Time against the smallest pool", "", {}};
  chart.x_title = "experts";
  chart.y_title = "ratio";
  for (const auto& [key, name] : {std::pair{"batch_32_ms_ratio", "32 texts"},
                                  {"flops_32_ratio", "32 texts, operations"},
                                  {"batch_1_ms_ratio", "1 text, top-2"},
                                  {"flops_1_ratio", "1 text, operations"}}) {
    Series series{name, {}};
    for (const Json& pool : array_at(scale, {"costs"})) {
      const auto experts = number_at(pool, {"experts"});
      if (!experts) continue;
      series.x.push_back(*experts);
      series.values.push_back(number_at(pool, {key}));
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

}  // namespace

TablesPage scale_page(const Json& scale) {
  if (text_at(scale, {"schema"}) != kScaleSchema)
    throw Error("E_DATA", fmt::format("this is no document of schema {}", kScaleSchema));
  return {"MoECollab scale",
          fmt::format("{} pseudo-domains; kind of the experts: {}.\n",
                      array_at(scale, {"domains"}).size(),
                      text_at(scale, {"kind"}).value_or("unknown")),
          {{"Pools",
            "Without the useless: the paired change of accuracy, in points, from the pool that "
            "has the same other experts.",
            pools_table(scale)},
           {"Costs",
            "Timed in turns, without a cache. Ratios are to the smallest pool; in brackets what "
            "the operations would make of it.",
            costs_table(scale)}},
          {accuracy_chart(scale), latency_chart(scale)}};
}

}  // namespace moecollab::evaluation
