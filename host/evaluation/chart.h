// A chart of an HTML page. page/charts.js draws it from its JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace moecollab::evaluation {

struct Series {
  std::string name;
  std::vector<std::optional<double>> values;  // none: no point, or no bar
  std::vector<double> x = {};                 // of each value; empty: 1, 2, 3 …
  bool is_reference = false;                  // what the others are held against: thin and dashed
};

// Labels of one chart: a canvas has a greatest height.
inline constexpr size_t kMostBars = 40;

// Bars lie, one group per label, so that names stay readable.
enum class ChartKind { kLines, kPoints, kBars };

struct Chart {
  std::string title;
  std::string note;  // how to read it; may be empty
  std::vector<Series> series;
  ChartKind kind = ChartKind::kLines;
  std::string x_title = {}, y_title = {};  // of bars: y is what their length shows
  std::vector<std::string> labels = {};    // of bars, as many as values
  std::optional<double> ideal = {};        // of bars: a line across them
  // Where the y axis ends; none: as the values have it.
  std::optional<double> least = {}, greatest = {};
};

// {"kind", "x_title", "y_title", "labels", "ideal", "least", "greatest", "series": [{"name", "x",
// "y", "reference"}]}; names are escaped as in tables, a value that is not finite is null.
Json to_json(const Chart& chart);

// Whether there is anything to draw.
bool has_values(const Chart& chart);

}  // namespace moecollab::evaluation
