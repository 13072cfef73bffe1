#include "evaluation/tables_page.h"

#include <fmt/format.h>

#include "evaluation/html_page.h"
#include "evaluation/report.h"

namespace moecollab::evaluation {

std::string terminal_text(const TablesPage& page) {
  std::string text = page.introduction;
  for (const TitledTable& titled : page.tables) {
    if (titled.table.rows.empty()) continue;
    text += "\n" + titled.title + "\n";
    if (!titled.note.empty()) text += titled.note + "\n";
    text += terminal_text(titled.table);
  }
  return text;
}

std::string markdown_text(const TablesPage& page) {
  std::string text = "# " + page.title + "\n\n" + page.introduction;
  for (const TitledTable& titled : page.tables) {
    if (titled.table.rows.empty()) continue;
    text += "\n## " + titled.title + "\n\n";
    if (!titled.note.empty()) text += titled.note + "\n\n";
    text += markdown_table(titled.table);
  }
  return text;
}

std::string html_document(const TablesPage& page) {
  std::string body = fmt::format("<header>\n<h1>{}</h1>\n", html_text(page.title));
  size_t begin = 0;
  for (size_t end = 0; (end = page.introduction.find('\n', begin)) != std::string::npos;
       begin = end + 1)
    body += html_note(std::string_view(page.introduction).substr(begin, end - begin));
  body += "</header>\n";
  std::string charts;
  for (const Chart& chart : page.charts) charts += html_chart(chart);
  if (!charts.empty()) body += fmt::format("<div class=\"pair\">\n{}</div>\n", charts);
  for (const TitledTable& titled : page.tables) {
    if (titled.table.rows.empty()) continue;
    body += fmt::format("<section>\n<h2>{}</h2>\n{}{}</section>\n", html_text(titled.title),
                        html_note(titled.note), html_table(titled.table));
  }
  return html_page(page.title, body);
}

}  // namespace moecollab::evaluation
