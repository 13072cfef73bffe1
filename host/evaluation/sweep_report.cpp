#include "evaluation/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

constexpr double kLeastRatio = 0.95, kGreatestRatio = 1.05;

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
      what, summary["lambda1"].get<double>(), summary["lambda2"].get<double>(), by,
      decimal(number_at(summary, {by}), 4), signed_points(summary),
      decimal(number_at(summary, {"utilisation", "soft"}), 3), signed_percent(summary, "soft"),
      decimal(number_at(summary, {"utilisation", "hard"}), 3), signed_percent(summary, "hard"),
      decimal(number_at(summary, {"n_eff"}), 2), decimal(number_at(summary, {"n_eff_target"}), 2));
}

// One figure over λ1 (rows) and λ2 (columns), shaded between its least and greatest value.
std::string heat_table(const Json& sweep, const char* title, int digits,
                       const std::function<std::optional<double>(const Json&)>& value) {
  std::set<double> rows, columns;
  std::map<std::pair<double, double>, std::optional<double>> cells;
  double least = 1e300, greatest = -1e300;
  for (const Json& point : sweep["points"]) {
    const double row = point["lambda1"].get<double>(), column = point["lambda2"].get<double>();
    rows.insert(row);
    columns.insert(column);
    const auto cell = value(point);
    cells[{row, column}] = cell;
    if (cell) least = std::min(least, *cell), greatest = std::max(greatest, *cell);
  }
  std::string html = fmt::format("<h2>{}</h2>\n<table><tr><th>&lambda;1 \\ &lambda;2</th>", title);
  for (const double column : columns) html += fmt::format("<th>{:g}</th>", column);
  html += "</tr>\n";
  for (const double row : rows) {
    html += fmt::format("<tr><th>{:g}</th>", row);
    for (const double column : columns) {
      const auto cell = cells.contains({row, column}) ? cells.at({row, column}) : std::nullopt;
      const double shade = cell && greatest > least ? (*cell - least) / (greatest - least) : 0.0;
      html += fmt::format("<td style=\"--p:{:.3f}\">{}</td>", shade, decimal(cell, digits));
    }
    html += "</tr>\n";
  }
  return html + "</table>\n";
}

constexpr char kSweepHead[] = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>MoECollab sweep</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1120px; margin: 0 auto; padding: 32px 20px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 9px; text-align: right; font-weight: 400; }
td { background: rgb(36 86 200 / calc(var(--p) * 55%)); }
</style>
</head>
<body>
<h1>Sweep over &lambda;1 and &lambda;2</h1>
)";

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
  const std::string by = sweep["judged_by"].get<std::string>();
  return fmt::format(
             "{} points, judged on {} held-out texts, in {:.1f} s; changes are against "
             "lambda1 = lambda2 = 0\n",
             sweep["points"].size(), sweep["texts"].get<int64_t>(),
             sweep["fit_seconds"].get<double>()) +
         line_of("no terms", sweep["reference"], by) + line_of("best", sweep["best"], by) +
         line_of("best with n_eff within 5 % of its target", sweep["balanced"], by);
}

std::string sweep_html(const Json& sweep) {
  const std::string by = sweep["judged_by"].get<std::string>();
  std::string html = kSweepHead;
  std::string text = sweep_text(sweep);
  for (size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1))
    html += fmt::format("<p>{}</p>\n", text.substr(0, end));
  html += heat_table(sweep, "Held-out accuracy", 4, [&](const Json& p) { return figure(p, by); });
  html += heat_table(sweep, "Utilisation, soft", 3, [](const Json& p) { return used(p, "soft"); });
  html += heat_table(sweep, "n_eff / target", 3,
                     [](const Json& p) { return figure(p, "n_eff_ratio"); });
  html += heat_table(sweep, "Entropy of the gate, nats", 3,
                     [](const Json& p) { return figure(p, "entropy"); });
  return html + "</body>\n</html>\n";
}

}  // namespace moecollab::evaluation
