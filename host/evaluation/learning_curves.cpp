#include "evaluation/learning_curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

constexpr double kWidth = 520, kHeight = 220, kLeft = 44, kRight = 8, kTop = 8, kBottom = 26;
constexpr int kTicks = 4;

// The lines of the phase that chose the number of epochs, or, where there was none, all.
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
      auto it =
          std::find_if(all.begin(), all.end(), [&](const Series& s) { return s.name == name; });
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

// The step of 1, 2 or 5 times a power of ten that cuts the range into about kTicks parts.
double tick_step(double range) {
  const double raw = range / kTicks, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

struct Axes {
  double least = 0, greatest = 1, epochs = 1;

  double x(double epoch) const {
    const double share = epochs > 1 ? (epoch - 1) / (epochs - 1) : 0.5;
    return kLeft + share * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kTop + (greatest - value) / (greatest - least) * (kHeight - kTop - kBottom);
  }
};

Axes axes_of(const Chart& chart) {
  Axes axes;
  double least = 1e300, greatest = -1e300;
  size_t epochs = 1;
  for (const Series& series : chart.series) {
    epochs = std::max(epochs, series.values.size());
    for (const auto& value : series.values) {
      if (value) least = std::min(least, *value), greatest = std::max(greatest, *value);
    }
  }
  if (greatest - least < 1e-9) least -= 0.5, greatest += 0.5;
  const double step = tick_step(greatest - least);
  axes.least = std::floor(least / step) * step;
  axes.greatest = std::ceil(greatest / step) * step;
  axes.epochs = static_cast<double>(epochs);
  return axes;
}

std::string svg_axes(const Axes& axes) {
  std::string svg;
  const double step = tick_step(axes.greatest - axes.least);
  for (double value = axes.least; value <= axes.greatest + step / 2; value += step) {
    const double y = axes.y(value);
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" class=\"rule\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n",
        kLeft, kWidth - kRight, y, y, kLeft - 6, y + 4, std::abs(value) < step / 1e6 ? 0 : value);
  }
  const auto last = static_cast<int>(axes.epochs);
  const int every = std::max(1, static_cast<int>(tick_step(axes.epochs)));
  for (int epoch = 1; epoch <= last; epoch += epoch == 1 && every > 1 ? every - 1 : every) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                       axes.x(epoch), kHeight - 8, epoch);
  }
  return svg;
}

// A hue apart from its neighbours' for each of many series.
std::string colour(size_t index) {
  return fmt::format("hsl({:.0f} 65% {}%)",
                     std::fmod(215 + 137.508 * static_cast<double>(index), 360),
                     index % 2 == 0 ? 45 : 58);
}

std::string svg_series(const Series& series, const Axes& axes, const std::string& stroke) {
  std::string points, dots;
  for (size_t i = 0; i < series.values.size(); ++i) {
    if (!series.values[i]) continue;
    const double x = axes.x(static_cast<double>(i + 1)), y = axes.y(*series.values[i]);
    points += fmt::format("{:.1f},{:.1f} ", x, y);
    dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2\" fill=\"{}\"/>", x, y, stroke);
  }
  return fmt::format(
      "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"/>{}\n", points,
      stroke, series.values.size() <= 30 ? dots : "");
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
  for (Chart& chart : charts)
    std::erase_if(chart.series, [](const Series& series) { return !has_value(series); });
  std::erase_if(charts, [](const Chart& chart) { return chart.series.empty(); });
  return charts;
}

std::string html_chart(const Chart& chart, std::string (*html_text)(std::string_view)) {
  const Axes axes = axes_of(chart);
  std::string lines, legend;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    lines += svg_series(chart.series[i], axes, colour(i));
    legend += fmt::format("<li><i style=\"background:{}\"></i>{}</li>\n", colour(i),
                          html_text(chart.series[i].name));
  }
  return fmt::format(
      "<section>\n<h2>{0}</h2>\n{1}<svg viewBox=\"0 0 {2} {3}\" role=\"img\" aria-label=\"{0}\">\n"
      "{4}{5}</svg>\n<ul class=\"legend\">\n{6}</ul>\n</section>\n",
      html_text(chart.title),
      chart.note.empty() ? "" : fmt::format("<p>{}</p>\n", html_text(chart.note)), kWidth, kHeight,
      svg_axes(axes), lines, legend);
}

}  // namespace moecollab::evaluation
