// The tables of a report, before they become text, Markdown or HTML.
//
// A report is the document of `eval --report`, schema "moecollab.report/1" (design page 6). Any
// value in it may be absent or null and is shown as "–"; a value of another type throws E_DATA
// naming its path. Cell texts are raw: names and labels come from strangers, so every renderer
// escapes them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace moecollab::evaluation {

// What a cell says about its value, beyond the value.
enum class Tone { kPlain, kStrong, kWarning };

struct Cell {
  std::string text;
  std::string note = {};            // smaller, behind the text: an interval, a name
  std::optional<double> heat = {};  // background strength in [0, 1]
  Tone tone = Tone::kPlain;
};

struct Column {
  std::string title;
  bool numeric = false;  // aligned right
};

struct Table {
  std::string title;
  std::string note;  // how to read it; may be empty
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // each as long as `columns`
};

// Throws E_DATA unless `report` is an object of schema "moecollab.report/1".
void require_report(const Json& report);

// The paper's table and ours beside it: Domain, Metric, Baseline, Expert, MoECollab, Oracle,
// Task-aware, Routing, n. Two rows a domain (accuracy, macro-F1) and two for all together, where
// accuracies are over all texts and macro-F1 is the mean of the domains'.
Table headline_table(const Json& report);
// What the same texts get from a majority vote, an even gate and the multi-task models.
Table comparison_table(const Json& report);
// Paired tests on the same texts.
Table paired_table(const Json& report);
// State, calls, load and own domain of every expert. Own domain: the d of the greatest p(d|e).
Table experts_table(const Json& report);
Table gate_table(const Json& report);
// p(d|e), experts by domains, with heat.
Table specialisation_table(const Json& report);
Table compute_table(const Json& report);
// Epochs, seconds, tokens and memory of each expert that was trained here.
Table training_table(const Json& report);
Table provenance_table(const Json& report);
// One table a domain that has a confusion matrix; heat is the share of the row.
std::vector<Table> confusion_tables(const Json& report);

// The few figures to see first, each a title and a value.
struct Figure {
  std::string title;
  std::string value;
  std::string note;
};
std::vector<Figure> key_figures(const Json& report);

}  // namespace moecollab::evaluation
