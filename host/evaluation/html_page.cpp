#include "evaluation/html_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <stdexcept>

#include "base/digest.h"
#include "base/embedded.h"
#include "base/strings.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {

// page/ and Chart.js.
std::span<const EmbeddedFile> page_files();

namespace {

std::string_view page_file(std::string_view path) {
  for (const EmbeddedFile& file : page_files())
    if (file.path == path) return file.text;
  throw std::logic_error(fmt::format("{} is not compiled in", path));
}

std::string html_cell(const Cell& cell, const Column& column, bool first) {
  std::string classes = column.numeric ? "n" : "";
  if (cell.tone == Tone::kStrong) classes += " strong";
  if (cell.tone == Tone::kWarning) classes += " warning";
  std::string attributes;
  if (cell.heat) {
    classes += " heat";
    attributes = fmt::format(" style=\"--p:{:.3f}\"", std::clamp(*cell.heat, 0.0, 1.0));
  }
  if (!classes.empty()) {
    attributes = fmt::format(" class=\"{}\"{}", classes.substr(classes[0] == ' '), attributes);
  }
  const std::string note =
      cell.note.empty() ? "" : fmt::format("<small>{}</small>", html_text(cell.note));
  return first
             ? fmt::format("<th scope=\"row\"{}>{}{}</th>", attributes, html_text(cell.text), note)
             : fmt::format("<td{}>{}{}</td>", attributes, html_text(cell.text), note);
}

// A row whose first cell is empty continues the one above.
std::string html_row(const Row& row, const std::vector<Column>& columns) {
  std::string out = row[0].text.empty() ? "<tr class=\"more\">" : "<tr>";
  for (size_t i = 0; i < row.size(); ++i) out += html_cell(row[i], columns[i], i == 0);
  return out + "</tr>\n";
}

// JSON as it may stand in a script element: no tag can end it.
std::string script_json(const Json& json) {
  std::string out;
  for (const char c : json.dump()) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

constexpr char kHead[] = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'{}">
<title>{}</title>
<style>
{}</style>
</head>
<body>
<main>
{}</main>
{}</body>
</html>
)";

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : escaped(text, kMaxText)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html_note(std::string_view note) {
  return note.empty() ? "" : fmt::format("<p>{}</p>\n", html_text(note));
}

std::string html_table(const Table& table) {
  std::string out = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (const Column& column : table.columns) {
    out += fmt::format("<th scope=\"col\"{}>{}</th>", column.numeric ? " class=\"n\"" : "",
                       html_text(column.title));
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const Row& row : table.rows) out += html_row(row, table.columns);
  return out + "</tbody>\n</table></div>\n";
}

std::string html_chart(const Chart& chart) {
  if (!has_values(chart)) return "";
  const size_t bars = chart.labels.size() * chart.series.size();
  const std::string shape = chart.kind == ChartKind::kBars
                                ? fmt::format("chart rows\" style=\"--rows:{}", bars)
                                : "chart";
  return fmt::format(
      "<section>\n<h2>{0}</h2>\n{1}<script type=\"application/json\">{2}</script>\n"
      "<div class=\"{3}\"><canvas role=\"img\" aria-label=\"{0}\"></canvas></div>\n"
      "<noscript><p>This chart is drawn by a script, which is off.</p></noscript>\n</section>\n",
      html_text(chart.title), html_note(chart.note), script_json(to_json(chart)), shape);
}

std::string html_page(std::string_view title, std::string_view body) {
  std::string policy, element;
  if (body.find("<canvas") != std::string_view::npos) {
    const std::string script =
        fmt::format("{}\n{}", page_file("chart.min.js"), page_file("charts.js"));
    policy = fmt::format("; script-src 'sha256-{}'", to_base64(sha256(script)));
    element = fmt::format("<script>{}</script>\n", script);
  }
  return fmt::format(kHead, policy, html_text(title), page_file("page.css"), body, element);
}

}  // namespace moecollab::evaluation
