#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "evaluation/report.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

// The policy keeps a page that quotes strangers from loading or running anything, whatever it
// quotes.
constexpr char kReportHead[] = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>MoECollab evaluation</title>
<style>
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b1f27; --soft: #5f6876; --line: #e3e6eb;
  --accent: #2456c8; --warning: #a3460b; --warning-tint: #fdf1e7;
  --heat: 36 86 200;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12151b; --card: #1a1e26; --ink: #e7eaf0; --soft: #98a2b3; --line: #2b313c;
    --accent: #8fb2ff; --warning: #f0a35e; --warning-tint: #35261a;
    --heat: 92 140 255;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { margin: 0; font-size: 1.75rem; letter-spacing: -.015em; }
h2 { margin: 0 0 4px; font-size: 1.1rem; }
p { margin: 0 0 14px; color: var(--soft); max-width: 78ch; }
header p { margin: 4px 0 24px; overflow-wrap: anywhere; }
section { min-width: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 22px; margin-top: 18px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px;
  margin: 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 16px; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; font-size: 1.6rem; font-weight: 650; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
dd + dd { color: var(--soft); font-size: .78rem; font-weight: 400; letter-spacing: 0; line-height: 1.35; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
  gap: 0 18px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: left; vertical-align: top; border-top: 1px solid var(--line);
  overflow-wrap: break-word; max-width: 24em; }
td:nth-child(2):last-child { overflow-wrap: anywhere; max-width: none; }
thead th { border-top: 0; color: var(--soft); font-size: .78rem; font-weight: 600;
  vertical-align: bottom; }
tbody th { font-weight: 500; }
tr.more > * { border-top: 0; padding-top: 0; }
.n { text-align: right; }
small { display: block; color: var(--soft); font-size: .75rem; line-height: 1.3; font-weight: 400; }
.strong { font-weight: 650; }
td.strong { color: var(--accent); }
.warning { color: var(--warning); background: var(--warning-tint); }
td.heat { color: inherit; background: rgb(var(--heat) / calc(var(--p) * 55%)); }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); }
svg .rule { stroke: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 8px 0 0; padding: 0; list-style: none;
  color: var(--soft); font-size: .8rem; }
.legend i { display: inline-block; width: 12px; height: 3px; margin-right: 6px; vertical-align: middle; }
details { margin-top: 8px; }
summary { cursor: pointer; color: var(--accent); font-size: .9rem; }
footer { margin-top: 24px; color: var(--soft); font-size: .8rem; }
</style>
</head>
<body>
<main>
)";

constexpr char kFoot[] =
    R"(<footer>Written by moecollab. “–” means not measured in this run.</footer>
</main>
</body>
</html>
)";

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

std::string html_header(const Json& report) {
  const auto part = [&](const char* title, Path path) {
    const auto value = text_at(report, path);
    return value ? fmt::format("{}{}", title, *value) : std::string();
  };
  std::vector<std::string> parts{part("version ", {"provenance", "version"}),
                                 part("fusion ", {"gate", "fusion"}),
                                 part("top-k ", {"gate", "top_k"}),
                                 part("device ", {"provenance", "device"}),
                                 part("precision ", {"provenance", "precision"}),
                                 part("seed ", {"provenance", "seed"})};
  std::erase(parts, "");
  return fmt::format("<header>\n<h1>MoECollab evaluation</h1>\n<p>{}</p>\n</header>\n",
                     html_text(join(parts, " · ")));
}

std::string html_heading(const Part& part) {
  const std::string note =
      part.note.empty() ? "" : fmt::format("<p>{}</p>\n", html_text(part.note));
  return fmt::format("<h2>{}</h2>\n{}", html_text(part.heading), note);
}

// One for each kind of content.

std::string html(const Part& part, const Table& table) {
  if (table.rows.empty()) return "";
  return fmt::format("<section>\n{}{}</section>\n", html_heading(part), html_table(table));
}

std::string html(const Part& part, const std::vector<FoldedTable>& tables) {
  if (tables.empty()) return "";
  std::string out = "<section>\n" + html_heading(part);
  for (const FoldedTable& folded : tables) {
    out += fmt::format("<details>\n<summary>{}</summary>\n{}</details>\n", html_text(folded.title),
                       html_table(folded.table));
  }
  return out + "</section>\n";
}

std::string html(const Part&, const std::vector<Chart>& charts) {
  std::string out;
  for (const Chart& chart : charts) out += html_chart(chart, html_text);
  return out;
}

std::string html(const Part&, const std::vector<KeyFigure>& figures) {
  if (figures.empty()) return "";
  std::string out = "<dl class=\"figures\">\n";
  for (const KeyFigure& figure : figures) {
    out += fmt::format("<div><dt>{}</dt><dd>{}</dd><dd>{}</dd></div>\n", html_text(figure.title),
                       html_text(figure.value), html_text(figure.note));
  }
  return out + "</dl>\n";
}

std::string side_by_side(const std::string& parts) {
  return parts.empty() ? "" : fmt::format("<div class=\"pair\">\n{}</div>\n", parts);
}

}  // namespace

std::string to_html(const Json& report, const Sections& sections) {
  require_report(report);
  std::string out = kReportHead + html_header(report);
  std::string row;  // parts that stand beside each other
  for (const Part* part : in_order(sections, &Placement::html)) {
    if (!part->place.beside) out += side_by_side(std::exchange(row, ""));
    (part->place.beside ? row : out) +=
        std::visit([&](const auto& content) { return html(*part, content); }, part->show(report));
  }
  return out + side_by_side(row) + kFoot;
}

}  // namespace moecollab::evaluation
