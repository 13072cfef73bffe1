#include <fmt/format.h>

#include <utility>

#include "base/strings.h"
#include "evaluation/html_page.h"
#include "evaluation/report.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

constexpr char kFoot[] =
    "<footer>Written by moecollab. “–” means not measured in this run.</footer>\n";

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
  return fmt::format("<h2>{}</h2>\n{}", html_text(part.heading), html_note(part.note));
}

// One for each kind of content.

std::string html(const Part& part, const Table& table) {
  if (table.rows.empty()) return "";
  return fmt::format("<section>\n{}{}</section>\n", html_heading(part), html_table(table));
}

std::string html(const Part& part, const std::vector<TitledTable>& tables) {
  std::string out;
  for (const TitledTable& titled : tables) {
    if (titled.table.rows.empty()) continue;
    out += fmt::format("<details>\n<summary>{}</summary>\n{}{}</details>\n",
                       html_text(titled.title), html_note(titled.note), html_table(titled.table));
  }
  return out.empty() ? "" : fmt::format("<section>\n{}{}</section>\n", html_heading(part), out);
}

std::string html(const Part&, const std::vector<Chart>& charts) {
  std::string out;
  for (const Chart& chart : charts) out += html_chart(chart);
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
  std::string out = html_header(report);
  std::string row;  // parts that stand beside each other
  for (const Part* part : in_order(sections, &Placement::html)) {
    if (!part->place.beside) out += side_by_side(std::exchange(row, ""));
    (part->place.beside ? row : out) +=
        std::visit([&](const auto& content) { return html(*part, content); }, part->show(report));
  }
  return html_page("MoECollab evaluation", out + side_by_side(row) + kFoot);
}

}  // namespace moecollab::evaluation
