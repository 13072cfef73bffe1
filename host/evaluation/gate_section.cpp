// How the gate spreads its mass over experts and label spaces.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "evaluation/gate_mass.h"
#include "evaluation/gate_usage.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

double mean_entropy(const GateMass& mass) {
  const size_t experts = mass.mean.size();
  double sum = 0;
  for (size_t i = 0; i < mass.gate.size(); i += experts)
    sum += entropy(std::span(mass.gate).subspan(i, experts));
  return sum / static_cast<double>(mass.gate.size() / experts);
}

Json utilisation_json(const Figures& figures, const GateMass& mass) {
  const Utilisation used =
      utilisation(mass.gate, figures.gate.space_of_expert, static_cast<int>(mass.spaces.size()),
                  domain_of_texts(figures.domains), static_cast<int>(figures.domains.size()));
  return {{"soft", number(used.soft)}, {"hard", number(used.hard)}};
}

Json gate_json(const Figures& figures) {
  const GateFigures& gate = figures.gate;
  const std::vector<fusion::LabelSpace>& spaces = figures.labels.spaces();
  const GateMass mass = gate_mass(figures);
  const std::vector<double> load_of_expert = load(mass.mean, mass.ideal),
                            load_of_space = load(mass.spaces, mass.texts_of_space);
  Json result = {{"fusion", gate.fusion},
                 {"fitted_fusion", gate.fitted_fusion},
                 {"top_k", gate.top_k},
                 {"load", Json::object()},
                 {"load_space", Json::object()},
                 {"n_eff", number(n_eff(mass.spaces))},
                 {"n_eff_target", number(n_eff_target(mass.texts_of_space))},
                 {"n_eff_experts", number(n_eff(mass.mean))}};
  for (size_t e = 0; e < load_of_expert.size(); ++e)
    result["load"][gate.experts[e]] = number(load_of_expert[e]);
  for (size_t s = 0; s < load_of_space.size(); ++s)
    result["load_space"][spaces[s].name] = number(load_of_space[s]);
  result["utilisation"] = utilisation_json(figures, mass);
  result["dead"] = Json::array();
  for (const int s : dead(load_of_space))
    result["dead"].push_back(spaces[static_cast<size_t>(s)].name);
  result["idle"] = Json::array();
  for (const int e : idle(mass.mean))
    result["idle"].push_back(gate.experts[static_cast<size_t>(e)]);
  result["entropy_mean"] = mean_entropy(mass);
  result["objective"] = {{"lambda1", gate.lambda1}, {"lambda2", gate.lambda2}};
  result["probes"] = nullptr;
  if (gate.probes) {
    result["probes"] = {{"texts", gate.probes->texts},
                        {"batch_change", gate.probes->batch_change},
                        {"batch_moved", gate.probes->batch_moved},
                        {"edits", gate.probes->edits},
                        {"edits_moved", gate.probes->edits_moved}};
  }
  return result;
}

// "emotion 1.02, news 0.98" of an object of numbers.
std::string numbers_of(const Json& root, Path path, int digits) {
  std::string out;
  for (const auto& [name, value] : object_at(root, path).items()) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name,
                       value.is_number() ? decimal(number_at(value, {}), digits) : list(value));
  }
  return out.empty() ? kNoValue : out;
}

Cell fusion_cell(const Json& report) {
  const auto fusion = text_at(report, {"gate", "fusion"});
  const auto fitted = text_at(report, {"gate", "fitted_fusion"});
  if (fusion && fitted && *fusion != *fitted) {
    return {*fusion, "the gate was fitted under " + *fitted, {}, Tone::kWarning};
  }
  return {text_or_none(fusion)};
}

Cell names_cell(const Json& values) {
  const bool any = values.is_array() && !values.empty();
  return {list(values), "", {}, any ? Tone::kWarning : Tone::kPlain};
}

Content gate_usage(const Json& report) {
  const Json& gate = object_at(report, {"gate"});
  const auto effective = number_at(gate, {"n_eff"});
  const auto target = number_at(gate, {"n_eff_target"});
  const std::string ratio =
      effective && target && *target > 0
          ? fmt::format("{:.2f} of the target, ideal is 0.95 to 1.05", *effective / *target)
          : "";
  return Table{{{"What"}, {"Value"}},
               {{{"Fusion"}, fusion_cell(report)},
                {{"Top-k"}, {text_or_none(text_at(gate, {"top_k"}))}},
                {{"Effective label spaces"},
                 {fmt::format("{} (target {})", decimal(effective, 2), decimal(target, 2)), ratio}},
                {{"Effective experts"}, {decimal(number_at(gate, {"n_eff_experts"}), 2)}},
                {{"Utilisation, soft"}, {percent(number_at(gate, {"utilisation", "soft"}))}},
                {{"Utilisation, top-1"}, {percent(number_at(gate, {"utilisation", "hard"}))}},
                {{"Mean entropy of a text's gate"},
                 {decimal(number_at(gate, {"entropy_mean"}), 3) + " nats"}},
                {{"Load by label space"}, {numbers_of(gate, {"load_space"}, 2), "1 is ideal"}},
                {{"Load by expert"}, {numbers_of(gate, {"load"}, 2), "1 is ideal"}},
                {{"Dead label spaces"}, names_cell(value_at(gate, {"dead"}))},
                {{"Idle experts"}, names_cell(value_at(gate, {"idle"}))},
                {{"Objective"}, {numbers_of(gate, {"objective"}, 4)}}}};
}

// Bars of an object of loads; of more than kMostBars, those furthest from 1.
Chart load_chart(std::string title, const Json& loads) {
  std::vector<std::pair<std::string, double>> bars;
  for (const auto& [name, value] : loads.items())
    if (const auto load = number_at(loads, {name})) bars.emplace_back(name, *load);
  std::string note = "Its share of the weight over the share that the texts call for: 1 is ideal.";
  if (bars.size() > kMostBars) {
    note += fmt::format(" The {} of {} that are furthest from it.", kMostBars, bars.size());
    std::ranges::stable_sort(bars, std::greater(),
                             [](const auto& bar) { return std::abs(bar.second - 1); });
    bars.resize(kMostBars);
  }
  Chart chart{std::move(title), std::move(note), {{"load", {}}}, ChartKind::kBars};
  chart.y_title = "load";
  chart.ideal = 1;
  for (const auto& [name, load] : bars) {
    chart.labels.push_back(name);
    chart.series[0].values.emplace_back(load);
  }
  return chart;
}

Content load_charts(const Json& report) {
  return std::vector{
      load_chart("Use of the label spaces", object_at(report, {"gate", "load_space"})),
      load_chart("Use of the experts", object_at(report, {"gate", "load"}))};
}

constexpr Part kGateParts[] = {
    {"", "", &load_charts, {.html = 55, .beside = true}},
    {"Gate usage", "", &gate_usage, {.markdown = 60, .html = 100, .beside = true}}};

}  // namespace

Section gate_section() { return {"gate", &gate_json, kGateParts}; }

}  // namespace moecollab::evaluation
