#include "evaluation/tables_page.h"

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

}  // namespace moecollab::evaluation
