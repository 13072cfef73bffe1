#include "evaluation/report.h"

#include <algorithm>

#include "base/strings.h"
#include "evaluation/report_tables.h"

namespace moecollab::evaluation {
namespace {

constexpr size_t kMaxCell = 60;    // bytes of a cell on a terminal
constexpr size_t kMaxText = 4000;  // bytes of a cell in a document
constexpr std::string_view kGap = "  ";

// Columns that a terminal gives to well-formed UTF-8: two for East Asian wide characters and emoji.
size_t display_width(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const bool cjk = lead >= 0xE3 && lead <= 0xED;
    width += cjk || length == 4 ? 2 : 1;
    i += length;
  }
  return width;
}

std::string padded(const std::string& text, size_t width, bool right) {
  const std::string fill(width - display_width(text), ' ');
  return right ? fill + text : text + fill;
}

using Lines = std::vector<std::vector<std::string>>;

Lines terminal_cells(const Table& table) {
  Lines lines(1);
  for (const Column& column : table.columns) lines[0].push_back(escaped(column.title, kMaxCell));
  for (const std::vector<Cell>& row : table.rows) {
    lines.emplace_back();
    for (const Cell& cell : row) lines.back().push_back(escaped(cell.text, kMaxCell));
  }
  return lines;
}

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

std::string markdown_table(const Table& table, std::string_view heading) {
  if (table.rows.empty()) return "";
  std::string out = std::string(heading) + " " + markdown_text(table.title) + "\n\n";
  if (!table.note.empty()) out += markdown_text(table.note) + "\n\n";
  for (const Column& column : table.columns) out += "| " + markdown_text(column.title) + " ";
  out += "|\n";
  for (const Column& column : table.columns) out += column.numeric ? "|---:" : "|---";
  out += "|\n";
  for (const std::vector<Cell>& row : table.rows) {
    for (const Cell& cell : row) out += "| " + markdown_cell(cell) + " ";
    out += "|\n";
  }
  return out + "\n";
}

}  // namespace

std::string terminal_table(const Json& report) {
  require_report(report);
  const Table table = headline_table(report);
  const Lines lines = terminal_cells(table);
  std::vector<size_t> widths(table.columns.size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], display_width(line[i]));
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      text += (i == 0 ? "" : kGap);
      text += padded(line[i], widths[i], table.columns[i].numeric);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::string to_markdown(const Json& report) {
  require_report(report);
  std::string out = "# MoECollab evaluation\n\n";
  for (const Figure& figure : key_figures(report)) {
    out += "- " + markdown_text(figure.title) + ": **" + markdown_text(figure.value) + "** (" +
           markdown_text(figure.note) + ")\n";
  }
  out += "\n";
  for (const Table& table :
       {headline_table(report), comparison_table(report), paired_table(report),
        experts_table(report), gate_table(report), specialisation_table(report)}) {
    out += markdown_table(table, "##");
  }
  const std::vector<Table> confusions = confusion_tables(report);
  if (!confusions.empty()) out += "## Confusion matrices\n\n";
  for (const Table& table : confusions) out += markdown_table(table, "###");
  if (const Table training = training_table(report); !training.rows.empty())
    out += markdown_table(training, "##");
  out += markdown_table(compute_table(report), "##");
  out += markdown_table(provenance_table(report), "##");
  out.pop_back();
  return out;
}

}  // namespace moecollab::evaluation
