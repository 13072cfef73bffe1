#include "base/strings.h"
#include "evaluation/report.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

std::string markdown_text(std::string_view text) {
  static constexpr std::string_view kSpecial = "\\`*_[]<>|~&#";
  std::string out;
  for (const char c : escaped(text, kMaxText)) {
    if (kSpecial.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string markdown_cell(const Cell& cell) {
  const std::string text = markdown_text(cell.text);
  const bool marked = cell.tone != Tone::kPlain && !text.empty();
  const std::string shown = marked ? "**" + text + "**" : text;
  return cell.note.empty() ? shown : shown + " (" + markdown_text(cell.note) + ")";
}

std::string markdown_heading(std::string_view marks, std::string_view title) {
  return std::string(marks) + " " + markdown_text(title) + "\n\n";
}

// One for each kind of content.

std::string markdown(const Part& part, const Table& table) {
  if (table.rows.empty()) return "";
  std::string out = markdown_heading("##", part.heading);
  if (!part.note.empty()) out += markdown_text(part.note) + "\n\n";
  return out + markdown_table(table) + "\n";
}

std::string markdown(const Part& part, const std::vector<TitledTable>& tables) {
  std::string out;
  for (const TitledTable& titled : tables) {
    if (titled.table.rows.empty()) continue;
    out += markdown_heading("###", titled.title);
    if (!titled.note.empty()) out += markdown_text(titled.note) + "\n\n";
    out += markdown_table(titled.table) + "\n";
  }
  return out.empty() ? "" : markdown_heading("##", part.heading) + out;
}

std::string markdown(const Part&, const std::vector<Chart>&) { return ""; }

std::string markdown(const Part&, const std::vector<KeyFigure>& figures) {
  if (figures.empty()) return "";
  std::string out;
  for (const KeyFigure& figure : figures) {
    out += "- " + markdown_text(figure.title) + ": **" + markdown_text(figure.value) + "** (" +
           markdown_text(figure.note) + ")\n";
  }
  return out + "\n";
}

}  // namespace

std::string markdown_table(const Table& table) {
  std::string out;
  for (const Column& column : table.columns) out += "| " + markdown_text(column.title) + " ";
  out += "|\n";
  for (const Column& column : table.columns) out += column.numeric ? "|---:" : "|---";
  out += "|\n";
  for (const Row& row : table.rows) {
    for (const Cell& cell : row) out += "| " + markdown_cell(cell) + " ";
    out += "|\n";
  }
  return out;
}

std::string to_markdown(const Json& report, const Sections& sections) {
  require_report(report);
  std::string out = "# MoECollab evaluation\n\n";
  for (const Part* part : in_order(sections, &Placement::markdown)) {
    out += std::visit([&](const auto& content) { return markdown(*part, content); },
                      part->show(report));
  }
  out.pop_back();
  return out;
}

}  // namespace moecollab::evaluation
