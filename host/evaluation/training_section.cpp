// How gate and experts learnt, and what that took.
#include "evaluation/learning_curves.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

Json histories(const Figures& figures) { return figures.training; }

Content curves(const Json& report) { return learning_charts(report); }

Content costs(const Json& report) {
  Table table{
      {{"Expert"}, {"Epochs", true}, {"Seconds", true}, {"Tokens", true}, {"Peak memory", true}},
      {}};
  for (const auto& [name, expert] : object_at(report, {"training", "experts"}).items()) {
    table.rows.push_back({{name},
                          {count(static_cast<double>(array_at(expert, {"epochs"}).size()))},
                          {decimal(number_at(expert, {"seconds"}), 1)},
                          {count(number_at(expert, {"tokens"}))},
                          {bytes(number_at(expert, {"peak_rss_bytes"}))}});
  }
  return table;
}

constexpr Part kTrainingParts[] = {
    {"", "", &curves, {.html = 70, .beside = true}},
    {"What training took",
     "Epochs of the pass that chose how many to train; seconds, tokens and memory of every pass: "
     "that one, those of folds if there are any, and the refit.",
     &costs,
     {.markdown = 90, .html = 80}},
};

}  // namespace

Section training_section() { return {"training", &histories, kTrainingParts}; }

}  // namespace moecollab::evaluation
