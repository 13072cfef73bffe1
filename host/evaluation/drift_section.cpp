// Whether the texts are other ones than those that the gate was fitted on, now and over time.
#include <fmt/format.h>

#include <array>

#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

constexpr std::array kShifts{"load", "entropy", "answers"};

// A line of the monitor's file, without what it says of single cells.
Json in_short(const Json& line) {
  Json entry = {{"time", line["time"]}, {"by", line["by"]}, {"texts", line["texts"]}};
  for (const char* key : kShifts)
    entry[key] = line[key].is_null() ? Json(nullptr) : line[key]["psi"];
  return entry;
}

Json drift_json(const Figures& figures) {
  if (!figures.drift) return nullptr;
  Json drift = to_json(*figures.drift);
  drift["history"] = Json::array();
  for (const Json& line : figures.monitored) drift["history"].push_back(in_short(line));
  return drift;
}

std::string cells_of(const Json& shift) {
  std::string text;
  for (const Json& cell : array_at(shift, {"cells"})) {
    text +=
        fmt::format("{}{} {} → {}", text.empty() ? "" : ", ", text_or_none(text_at(cell, {"name"})),
                    percent(number_at(cell, {"before"})), percent(number_at(cell, {"now"})));
  }
  return text;
}

Row row_of(const char* what, const Json& shift) {
  const auto psi = number_at(shift, {"psi"});
  const Json& band = array_at(shift, {"band"});
  const auto most = band.size() == 2 ? number_at(band[1], {}) : std::nullopt;
  const bool drifts = psi && most && *psi > *most && *psi > kDriftPsi;
  return {{what},
          {decimal(psi, 3), "", {}, drifts ? Tone::kWarning : Tone::kPlain},
          {decimal(most, 3)},
          {cells_of(shift)}};
}

Content shifts(const Json& report) {
  Table table{{{"What"}, {"PSI", true}, {"By chance at most", true}, {"Mostly from"}}, {}};
  const Json& drift = object_at(report, {"drift"});
  for (const auto& [key, what] : {std::pair{"load", "Weight of the experts"},
                                  {"entropy", "Entropy of a text's shares"},
                                  {"answers", "Labels that are answered"}})
    if (value_at(drift, {key}).is_object()) table.rows.push_back(row_of(what, drift[key]));
  return table;
}

Content over_time(const Json& report) {
  Chart chart{"Drift over time", "PSI of each line of the monitor's file, the oldest first.", {}};
  chart.x_title = "line";
  chart.y_title = "PSI";
  const Json& history = array_at(report, {"drift", "history"});
  for (const auto& [key, what] :
       {std::pair{"load", "weight"}, {"entropy", "entropy"}, {"answers", "labels"}}) {
    Series series{what, {}};
    for (const Json& line : history) series.values.push_back(number_at(line, {key}));
    chart.series.push_back(std::move(series));
  }
  return history.size() < 2 ? std::vector<Chart>() : std::vector{chart};
}

constexpr Part kDriftParts[] = {
    {"Drift",
     "These texts beside those that the gate was fitted on, label spaces in equal proportions. "
     "Population stability index; from 0.25, and beyond chance, it counts as drift.",
     &shifts,
     {.markdown = 65, .html = 105}},
    {"", "", &over_time, {.html = 106, .beside = true}},
};

}  // namespace

Section drift_section() { return {"drift", &drift_json, kDriftParts}; }

}  // namespace moecollab::evaluation
