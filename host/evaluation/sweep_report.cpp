#include "evaluation/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

constexpr double kLeastRatio = 0.95, kGreatestRatio = 1.05;
constexpr size_t kMostCells = 100'000;
constexpr double kUnknown = -1;  // a weight that a point does not have

std::optional<double> figure(const Json& point, std::string_view name) {
  return number_at(point, {"held_out", name});
}

std::optional<double> used(const Json& point, std::string_view kind) {
  return number_at(point, {"held_out", "utilisation", kind});
}

// The best of the points that `admits`; null if there is none.
const Json* best(const Json& sweep, const std::function<bool(const Json&)>& admits) {
  const std::string by = sweep["judged_by"].get<std::string>();
  const Json* found = nullptr;
  for (const Json& point : sweep["points"]) {
    if (!figure(point, by) || !admits(point)) continue;
    if (found != nullptr) {
      const double accuracy = *figure(point, by), so_far = *figure(*found, by);
      const bool better = accuracy > so_far ||
                          (accuracy == so_far && figure(point, "task") < figure(*found, "task"));
      if (!better) continue;
    }
    found = &point;
  }
  return found;
}

Json relative(std::optional<double> value, std::optional<double> reference) {
  if (!value || !reference || *reference == 0) return nullptr;
  return *value / *reference - 1;
}

Json summary_of(const Json* point, const Json* reference, const std::string& by) {
  if (point == nullptr) return nullptr;
  Json json = {{"lambda1", (*point)["lambda1"]}, {"lambda2", (*point)["lambda2"]}};
  for (const char* name : {by.c_str(), "task", "entropy", "n_eff", "n_eff_target", "n_eff_ratio"})
    json[name] = value_at(*point, {"held_out", name});
  json["utilisation"] = value_at(*point, {"held_out", "utilisation"});
  json["accuracy_change"] = nullptr;
  json["utilisation_change"] = {{"soft", nullptr}, {"hard", nullptr}};
  if (reference == nullptr || !figure(*reference, by)) return json;
  json["accuracy_change"] = *figure(*point, by) - *figure(*reference, by);
  for (const char* kind : {"soft", "hard"})
    json["utilisation_change"][kind] = relative(used(*point, kind), used(*reference, kind));
  return json;
}

std::string signed_points(const Json& summary) {
  const auto change = number_at(summary, {"accuracy_change"});
  return change ? fmt::format("{:+.2f} points", 100 * *change) : std::string(kNoValue);
}

std::string signed_percent(const Json& summary, std::string_view kind) {
  const auto change = number_at(summary, {"utilisation_change", kind});
  return change ? fmt::format("{:+.1f} %", 100 * *change) : std::string(kNoValue);
}

std::string line_of(const char* what, const Json& summary, const std::string& by) {
  if (summary.is_null()) return fmt::format("{}: none\n", what);
  return fmt::format(
      "{}: lambda1 {:g}, lambda2 {:g}: {} {} ({}), utilisation soft {} ({}), hard {} ({}), "
      "n_eff {} of {}\n",
      what, summary.at("lambda1").get<double>(), summary.at("lambda2").get<double>(), by,
      decimal(number_at(summary, {by}), 4), signed_points(summary),
      decimal(number_at(summary, {"utilisation", "soft"}), 3), signed_percent(summary, "soft"),
      decimal(number_at(summary, {"utilisation", "hard"}), 3), signed_percent(summary, "hard"),
      decimal(number_at(summary, {"n_eff"}), 2), decimal(number_at(summary, {"n_eff_target"}), 2));
}

using Figure = std::function<std::optional<double>(const Json& point)>;

double lambda1_of(const Json& point) { return number_at(point, {"lambda1"}).value_or(kUnknown); }
double lambda2_of(const Json& point) { return number_at(point, {"lambda2"}).value_or(kUnknown); }

// One figure over λ1 (rows) and λ2 (columns), shaded between its least and greatest value.
Table heat_table(const Json& sweep, int digits, const Figure& value) {
  std::set<double> rows, columns;
  std::map<std::pair<double, double>, std::optional<double>> cells;
  double least = 1e300, greatest = -1e300;
  for (const Json& point : array_at(sweep, {"points"})) {
    const double row = lambda1_of(point), column = lambda2_of(point);
    rows.insert(row);
    columns.insert(column);
    const auto cell = value(point);
    cells[{row, column}] = cell;
    if (cell) least = std::min(least, *cell), greatest = std::max(greatest, *cell);
  }
  if (rows.size() * columns.size() > kMostCells) {
    throw Error("E_DATA", fmt::format("{} values of lambda1 and {} of lambda2 are more than {} "
                                      "points: a table cannot show them",
                                      rows.size(), columns.size(), kMostCells));
  }
  Table table{{{"λ1 \\ λ2"}}, {}};
  for (const double column : columns) table.columns.push_back({fmt::format("{:g}", column), true});
  for (const double row : rows) {
    Row line{{fmt::format("{:g}", row)}};
    for (const double column : columns) {
      const auto at = cells.find({row, column});
      const auto cell = at == cells.end() ? std::nullopt : at->second;
      const double shade = cell && greatest > least ? (*cell - least) / (greatest - least) : 0.0;
      line.push_back({decimal(cell, digits), "", shade});
    }
    table.rows.push_back(std::move(line));
  }
  return table;
}

// One figure over λ1, a line for each λ2.
Chart lambda_chart(const Json& sweep, std::string title, const Figure& value) {
  std::map<double, Series> lines;
  for (const Json& point : array_at(sweep, {"points"})) {
    Series& line = lines[lambda2_of(point)];
    line.x.push_back(lambda1_of(point));
    line.values.push_back(value(point));
  }
  Chart chart{std::move(title), "A line for each λ2.", {}};
  chart.x_title = "λ1";
  for (auto& [lambda2, line] : lines) {
    line.name = fmt::format("λ2 = {:g}", lambda2);
    chart.series.push_back(std::move(line));
  }
  return chart;
}

}  // namespace

Json sweep_summary(const Json& sweep) {
  const std::string by = sweep["judged_by"].get<std::string>();
  const auto any = [](const Json&) { return true; };
  const Json* reference = best(sweep, [](const Json& point) {
    return point["lambda1"].get<double>() == 0 && point["lambda2"].get<double>() == 0;
  });
  const Json* balanced = best(sweep, [](const Json& point) {
    const auto ratio = figure(point, "n_eff_ratio");
    return ratio && *ratio >= kLeastRatio && *ratio <= kGreatestRatio;
  });
  return {{"best", summary_of(best(sweep, any), reference, by)},
          {"balanced", summary_of(balanced, reference, by)},
          {"reference", summary_of(reference, reference, by)}};
}

std::string sweep_csv(const Json& sweep) {
  const char* figures[] = {"accuracy", "accuracy_task_aware", "task", "entropy", "balance",
                           "n_eff",    "n_eff_target"};
  std::string csv = "lambda1,lambda2";
  for (const char* name : figures) csv += fmt::format(",{}", name);
  csv += ",utilisation_soft,utilisation_hard,epochs,seconds\r\n";
  const auto cell = [](const std::optional<double>& value) {
    return value ? fmt::format(",{}", *value) : std::string(",");
  };
  for (const Json& point : sweep["points"]) {
    csv += fmt::format("{},{}", point["lambda1"].get<double>(), point["lambda2"].get<double>());
    for (const char* name : figures) csv += cell(figure(point, name));
    csv += cell(used(point, "soft")) + cell(used(point, "hard"));
    csv += cell(number_at(point, {"epochs"})) + cell(number_at(point, {"seconds"})) + "\r\n";
  }
  return csv;
}

std::string sweep_text(const Json& sweep) {
  const std::string by = sweep.at("judged_by").get<std::string>();
  return fmt::format(
             "{} points, judged on {} held-out texts, in {:.1f} s; changes are against "
             "lambda1 = lambda2 = 0\n",
             sweep.at("points").size(), sweep.at("texts").get<int64_t>(),
             sweep.at("fit_seconds").get<double>()) +
         line_of("no terms", sweep.at("reference"), by) + line_of("best", sweep.at("best"), by) +
         line_of("best with n_eff within 5 % of its target", sweep.at("balanced"), by);
}

TablesPage sweep_page(const Json& sweep) {
  if (text_at(sweep, {"schema"}) != kSweepSchema)
    throw Error("E_DATA", fmt::format("this is no document of schema {}", kSweepSchema));
  const std::string by = text_at(sweep, {"judged_by"}).value_or("accuracy");
  const Figure accuracy = [&](const Json& point) { return figure(point, by); };
  const Figure soft = [](const Json& point) { return used(point, "soft"); };
  const Figure effective = [](const Json& point) { return figure(point, "n_eff_ratio"); };
  const Figure entropy = [](const Json& point) { return figure(point, "entropy"); };
  return {"MoECollab sweep over λ1 and λ2",
          sweep_text(sweep),
          {{"Held-out accuracy", "", heat_table(sweep, 4, accuracy)},
           {"Utilisation, soft", "", heat_table(sweep, 3, soft)},
           {"n_eff / target", "", heat_table(sweep, 3, effective)},
           {"Entropy of the gate, nats", "", heat_table(sweep, 3, entropy)}},
          {lambda_chart(sweep, "Accuracy over λ1", accuracy),
           lambda_chart(sweep, "Utilisation over λ1", soft)}};
}

}  // namespace moecollab::evaluation
