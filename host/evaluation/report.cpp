#include "evaluation/report.h"

#include <algorithm>

#include "base/strings.h"
#include "evaluation/headline_table.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

constexpr size_t kMaxCell = 60;  // bytes of a cell
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

}  // namespace

Json report_json(const Figures& figures, const Sections& sections) {
  Json report = {{"schema", kReportSchema}};
  for (const Section& section : sections) report[section.key] = section.json(figures);
  return report;
}

std::string terminal_text(const Table& table) {
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

std::string terminal_table(const Json& report) {
  require_report(report);
  return terminal_text(headline_table(report));
}

}  // namespace moecollab::evaluation
