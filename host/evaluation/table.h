// A table of a report, before it becomes text, Markdown or HTML. Cell texts are raw: names and
// labels come from strangers, so every renderer escapes them.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace moecollab::evaluation {

// What a cell says about its value, beyond the value.
enum class Tone { kPlain, kStrong, kWarning };

struct Cell {
  std::string text;
  std::string note = {};            // smaller, after the text: an interval, a name
  std::optional<double> heat = {};  // background strength in [0, 1]
  Tone tone = Tone::kPlain;
};

using Row = std::vector<Cell>;

struct Column {
  std::string title;
  bool numeric = false;  // aligned right
};

struct Table {
  std::vector<Column> columns;
  std::vector<Row> rows;  // each as long as `columns`
};

struct TitledTable {
  std::string title;
  std::string note;  // how to read it; may be empty
  Table table;
};

}  // namespace moecollab::evaluation
