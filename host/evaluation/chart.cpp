#include "evaluation/chart.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace moecollab::evaluation {
namespace {

constexpr size_t kMaxName = 60;  // bytes of a name beside a line or bar

const char* name_of(ChartKind kind) {
  switch (kind) {
    case ChartKind::kPoints:
      return "points";
    case ChartKind::kBars:
      return "bars";
    case ChartKind::kLines:
      break;
  }
  return "lines";
}

Json series_json(const Series& series) {
  Json y = Json::array();
  for (const auto& value : series.values)
    y.push_back(value && std::isfinite(*value) ? Json(*value) : Json(nullptr));
  return {{"name", escaped(series.name, kMaxName)},
          {"x", series.x},
          {"y", y},
          {"reference", series.is_reference}};
}

}  // namespace

Json to_json(const Chart& chart) {
  Json labels = Json::array(), series = Json::array();
  const auto or_null = [](std::optional<double> value) { return value ? Json(*value) : Json(); };
  for (const std::string& label : chart.labels) labels.push_back(escaped(label, kMaxName));
  for (const Series& one : chart.series) series.push_back(series_json(one));
  return {{"kind", name_of(chart.kind)},
          {"x_title", chart.x_title},
          {"y_title", chart.y_title},
          {"labels", labels},
          {"ideal", or_null(chart.ideal)},
          {"least", or_null(chart.least)},
          {"greatest", or_null(chart.greatest)},
          {"series", series}};
}

bool has_values(const Chart& chart) {
  return std::ranges::any_of(chart.series, [](const Series& series) {
    return !series.is_reference &&
           std::ranges::any_of(series.values, [](const auto& value) { return value.has_value(); });
  });
}

}  // namespace moecollab::evaluation
