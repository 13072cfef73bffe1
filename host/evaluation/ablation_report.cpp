#include "evaluation/ablation_report.h"

#include <fmt/format.h>

#include <cstdlib>
#include <functional>

#include "base/error.h"
#include "evaluation/report_values.h"
#include "evaluation/tables_page.h"

namespace moecollab::evaluation {
namespace {

std::string text_of(const Json& value) { return value.is_null() ? "" : value.get<std::string>(); }

std::vector<const Json*> steps_of(const Json& ablation, std::string_view group) {
  std::vector<const Json*> steps;
  for (const Json& step : array_at(ablation, {"steps"}))
    if (step.at("group") == group) steps.push_back(&step);
  return steps;
}

std::string gate_of(const Json& step) {
  const std::string gate = text_of(step.at("gate")), kind = text_of(step.at("kind"));
  return kind.empty() || gate.empty() ? gate : gate + ", " + kind;
}

// A step a row, overall figures and the change from the collaboration as it is.
Table overall_table(const std::vector<const Json*>& steps, const std::string& what) {
  Table table;
  table.columns = {{what},
                   {"gate"},
                   {"accuracy", true},
                   {"domain told", true},
                   {"routing", true},
                   {"n_eff", true},
                   {"change, points", true},
                   {"z", true}};
  for (const Json* step : steps) {
    if (!step->at("failure").is_null()) {
      table.rows.push_back({{step->at("name").get<std::string>()},
                            {gate_of(*step)},
                            {text_of(step->at("failure"))},
                            {},
                            {},
                            {},
                            {},
                            {}});
      continue;
    }
    const auto figure = [&](std::string_view key) {
      return number_at(*step, {"figures", "overall", key});
    };
    const Json& change = value_at(*step, {"change", "overall"});
    table.rows.push_back({{step->at("name").get<std::string>()},
                          {gate_of(*step)},
                          {score(figure("accuracy"))},
                          {score(figure("accuracy_task_aware"))},
                          {score(figure("routing_accuracy"))},
                          {decimal(figure("n_eff"), 2)},
                          {points(number_at(change, {"change"})), bounds(change)},
                          {decimal(number_at(change, {"z"}), 1)}});
  }
  return table;
}

// Outputs of different widths under each fusion, the domain told.
Table widths_table(const Json& ablation) {
  Table table;
  table.columns = {{"domain"}, {"classes", true}};
  const std::vector<const Json*> steps = steps_of(ablation, "fusion");
  for (const Json* step : steps)
    table.columns.push_back(
        {step->at("name").get<std::string>() + ", " + text_of(step->at("gate")), true});
  if (steps.empty()) return table;
  for (const auto& [domain, figures] : object_at(ablation, {"reference", "domains"}).items()) {
    Row row = {{domain}, {count(number_at(figures, {"classes"}))}};
    for (const Json* step : steps)
      row.push_back(
          {score(number_at(*step, {"figures", "domains", domain, "accuracy_task_aware"}))});
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table single_table(const Json& ablation) {
  Table table;
  table.columns = {
      {"expert"}, {"domain"}, {"alone", true}, {"collaboration", true}, {"change, points", true},
      {"z", true}};
  for (const Json* step : steps_of(ablation, "single")) {
    for (const auto& [domain, figures] : object_at(*step, {"figures", "domains"}).items()) {
      const Json& change = value_at(*step, {"change", "domains", domain});
      table.rows.push_back({{step->at("name").get<std::string>()},
                            {domain},
                            {score(number_at(change, {"after"}))},
                            {score(number_at(change, {"before"}))},
                            {points(number_at(change, {"change"})), bounds(change)},
                            {decimal(number_at(change, {"z"}), 1)}});
    }
  }
  return table;
}

// A step of `experts` or `upgrades` under the same gate a row, and what a refit makes of it.
Table impact_table(const Json& ablation, const char* group, const char* what) {
  Table table;
  table.columns = {
      {what}, {"change, points", true}, {"gate refitted", true}, {"through the gate", true}};
  const bool is_upgrade = std::string_view(group) == "upgrades";
  const Json& domains = object_at(ablation, {"reference", "domains"});
  for (const auto& [domain, figures] : domains.items()) table.columns.push_back({domain, true});
  for (const Json* step : steps_of(ablation, group)) {
    if (text_of(step->at("gate")) != "same") continue;
    const std::string name = step->at("name").get<std::string>();
    const Json* impact = nullptr;
    for (const Json& entry : array_at(ablation, {"impact"}))
      if (entry.at("expert") == name && entry.at("upgrade").is_null() != is_upgrade)
        impact = &entry;
    Row row = {{is_upgrade ? name + " " + text_of(step->at("version")) : name}};
    for (const char* key : {"change", "change_refitted", "through_gate"})
      row.push_back({impact == nullptr ? kNoValue : points(number_at(*impact, {key}))});
    if (!step->at("failure").is_null()) row[1] = {text_of(step->at("failure"))};
    for (const auto& [domain, figures] : domains.items()) {
      const Json& change = value_at(*step, {"change", "domains", domain});
      const auto high = number_at(change, {"high"});
      row.push_back({points(number_at(change, {"change"})),
                     bounds(change),
                     {},
                     high && *high < 0 ? Tone::kStrong : Tone::kPlain});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table padding_table(const Json& ablation) {
  Table table;
  table.columns = {{"fusion"},
                   {"gradient in its 2 columns", true},
                   {"in 48 padded ones", true},
                   {"padded share", true},
                   {"from the other's texts", true},
                   {"answers that are padding", true}};
  for (const Json* step : steps_of(ablation, "padding")) {
    const auto figure = [&](std::string_view key) { return number_at(*step, {"gradients", key}); };
    table.rows.push_back({{step->at("name").get<std::string>()},
                          {decimal(figure("real"), 4)},
                          {decimal(figure("padded"), 4)},
                          {percent(figure("padded_share"))},
                          {percent(figure("foreign_share"))},
                          {percent(figure("answered_padding"))}});
  }
  return table;
}

std::string reference_text(const Json& ablation) {
  const auto figure = [&](std::string_view key) {
    return number_at(ablation, {"reference", "overall", key});
  };
  return fmt::format("The collaboration as it is: accuracy {}, domain told {}, {} texts.\n",
                     score(figure("accuracy")), score(figure("accuracy_task_aware")),
                     count(figure("n")));
}

// What removing each expert does, under the same gate and under one fitted without it.
Chart impact_chart(const Json& ablation) {
  Chart chart{"Without each expert",
              "Change of accuracy on all texts, in points.",
              {{"the others share its weight", {}}, {"the gate is fitted again", {}}},
              ChartKind::kBars};
  chart.y_title = "points";
  chart.ideal = 0;
  for (const Json& entry : array_at(ablation, {"impact"})) {
    if (!value_at(entry, {"upgrade"}).is_null()) continue;
    if (chart.labels.size() == kMostBars) {
      chart.note += fmt::format(" The first {} experts; the table has all.", kMostBars);
      break;
    }
    chart.labels.push_back(text_or_none(text_at(entry, {"expert"})));
    const auto in_points = [&](std::string_view key) {
      const auto change = number_at(entry, {key});
      return change ? std::optional(100 * *change) : std::nullopt;
    };
    chart.series[0].values.push_back(in_points("change"));
    chart.series[1].values.push_back(in_points("change_refitted"));
  }
  return chart;
}

// Accuracy of the steps of a group whose names are numbers.
Chart top_k_chart(const Json& ablation) {
  Chart chart{"Experts run for a text", "", {{"accuracy", {}}, {"domain known", {}}}};
  chart.x_title = "k";
  for (const Json* step : steps_of(ablation, "top-k")) {
    const double k = std::atof(step->at("name").get<std::string>().c_str());
    for (size_t i = 0; i < 2; ++i) {
      chart.series[i].x.push_back(k);
      chart.series[i].values.push_back(
          number_at(*step, {"figures", "overall", i == 0 ? "accuracy" : "accuracy_task_aware"}));
    }
  }
  return chart;
}

}  // namespace

TablesPage ablation_page(const Json& ablation) {
  if (text_at(ablation, {"schema"}) != kAblationSchema)
    throw Error("E_DATA", fmt::format("this is no document of schema {}", kAblationSchema));
  const auto overall = [&](const char* group, const char* what) {
    return overall_table(steps_of(ablation, group), what);
  };
  return {
      "MoECollab ablation",
      reference_text(ablation),
      {{"Fusion",
        "The same gate, and a linear one fitted for each. A "
        "fusion without an accuracy can only be read if the domain is known.",
        overall("fusion", "fusion")},
       {"Outputs of different widths", "Accuracy, the domain told.", widths_table(ablation)},
       {"Gate",
        "off: all experts count the same; perfect: the best expert of the text's own domain.",
        overall("gate", "gate")},
       {"What the gate reads", "", overall("features", "features")},
       {"Experts run for a text", "", overall("top-k", "k")},
       {"Each expert alone", "On the domains of its label space, which both know.",
        single_table(ablation)},
       {"Without each expert",
        "Change of accuracy: the others share its weight; then with a gate fitted without it; the "
        "difference is what the gate makes of it.",
        impact_table(ablation, "experts", "without")},
       {"With a higher version of an expert",
        "The newest that is installed. First it answers in the row of the one before, on "
        "probation; then with a gate fitted for it.",
        impact_table(ablation, "upgrades", "upgraded")},
       {"Weights of equation 3", "Linear gates, one weight at a time.",
        overall("lambda", "weight")},
       {"Gradients of a 2-class beside a 50-class expert", "", padding_table(ablation)}},
      {impact_chart(ablation), top_k_chart(ablation)}};
}

}  // namespace moecollab::evaluation
