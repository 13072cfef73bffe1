// Curves over epochs, and how an HTML page draws them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::evaluation {

struct Series {
  std::string name;
  std::vector<std::optional<double>> values;  // by epoch, from 1
};

struct Chart {
  std::string title;
  std::string note;  // how to read it; may be empty
  std::vector<Series> series;
};

// One chart as SVG with a legend, in HTML. Text is escaped by `html_text`.
std::string html_chart(const Chart& chart, std::string (*html_text)(std::string_view));

}  // namespace moecollab::evaluation
