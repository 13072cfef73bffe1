#include "evaluation/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moecollab::evaluation {
namespace {

constexpr double kWidth = 520, kHeight = 220, kLeft = 44, kRight = 8, kTop = 8, kBottom = 26;
constexpr int kTicks = 4;

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

}  // namespace

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
