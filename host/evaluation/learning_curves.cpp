#include "evaluation/learning_curves.h"

#include <algorithm>

#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

// The lines of the phase that chose the number of epochs, or, if there was none, all.
std::vector<Json> choosing(const std::vector<Json>& history) {
  std::vector<Json> lines;
  for (const Json& line : history) {
    if (text_at(line, {"phase"}) == "choose") lines.push_back(line);
  }
  return lines.empty() ? history : lines;
}

Json gate_epoch(const Json& line) {
  Json accuracy = Json::object();
  for (const auto& [domain, figures] : object_at(line, {"held_out", "domains"}).items())
    accuracy[domain] = value_at(figures, {"accuracy"});
  return {{"epoch", value_at(line, {"epoch"})},
          {"total", value_at(line, {"terms", "total"})},
          {"held_out_total", value_at(line, {"held_out", "total"})},
          {"accuracy", accuracy},
          {"load", value_at(line, {"held_out", "load"})},
          {"entropy", value_at(line, {"held_out", "entropy"})}};
}

Json expert_json(const std::vector<Json>& history) {
  Json epochs = Json::array();
  for (const Json& line : choosing(history)) {
    Json epoch = Json::object();
    for (const char* key : {"epoch", "train_loss", "held_out_loss", "held_out_accuracy"})
      epoch[key] = value_at(line, {key});
    epochs.push_back(std::move(epoch));
  }
  double seconds = 0, tokens = 0, peak = 0;
  for (const Json& line : history) {
    seconds += number_at(line, {"seconds"}).value_or(0);
    tokens += number_at(line, {"tokens"}).value_or(0);
    peak = std::max(peak, number_at(line, {"peak_rss_bytes"}).value_or(0));
  }
  return {{"epochs", epochs}, {"seconds", seconds}, {"tokens", tokens}, {"peak_rss_bytes", peak}};
}

// One series a name, its value at each epoch that of epoch[section][name].
std::vector<Series> by_name(const Json& epochs, std::string_view section) {
  std::vector<Series> all;
  for (size_t i = 0; i < epochs.size(); ++i) {
    for (const auto& [name, value] : object_at(epochs[i], {section}).items()) {
      auto it = std::find_if(all.begin(), all.end(),
                             [&key = name](const Series& s) { return s.name == key; });
      if (it == all.end()) it = all.insert(all.end(), {name, {}});
      it->values.resize(epochs.size());
      it->values[i] = number_at(epochs[i], {section, name});
    }
  }
  return all;
}

Series by_key(const Json& epochs, const std::string& name, std::string_view key) {
  Series series{name, {}};
  for (const Json& epoch : epochs) series.values.push_back(number_at(epoch, {key}));
  return series;
}

bool has_value(const Series& series) {
  return std::any_of(series.values.begin(), series.values.end(),
                     [](const auto& value) { return value.has_value(); });
}

}  // namespace

Json training_json(const std::vector<Json>& gate_history,
                   const std::vector<std::pair<std::string, std::vector<Json>>>& expert_histories) {
  Json gate = Json::array(), experts = Json::object();
  for (const Json& line : choosing(gate_history)) gate.push_back(gate_epoch(line));
  for (const auto& [name, history] : expert_histories) experts[name] = expert_json(history);
  return {{"gate", gate_history.empty() ? Json(nullptr) : gate}, {"experts", experts}};
}

std::vector<Chart> learning_charts(const Json& report) {
  const Json& gate = array_at(report, {"training", "gate"});
  std::vector<Chart> charts = {
      {"Accuracy of the domains while the gate learns",
       "On the held-out texts that chose the number of epochs.", by_name(gate, "accuracy")},
      {"Use of the experts while the gate learns",
       "Load on the same texts: 1 is the share that the texts of an expert’s label space call for.",
       by_name(gate, "load")},
      {"Objective of the gate",
       "",
       {by_key(gate, "fitted texts", "total"), by_key(gate, "held-out texts", "held_out_total")}},
      {"Experts while they learn", "Accuracy of each on the held-out texts of its domain.", {}}};
  for (const auto& [name, expert] : object_at(report, {"training", "experts"}).items())
    charts.back().series.push_back(by_key(array_at(expert, {"epochs"}), name, "held_out_accuracy"));
  for (Chart& chart : charts) {
    chart.x_title = "epoch";
    std::erase_if(chart.series, [](const Series& series) { return !has_value(series); });
  }
  std::erase_if(charts, [](const Chart& chart) { return chart.series.empty(); });
  return charts;
}

}  // namespace moecollab::evaluation
