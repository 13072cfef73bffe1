// Results that are a sentence and some tables, for a terminal and as a Markdown document;
// torch-free.
#pragma once

#include <string>
#include <vector>

#include "evaluation/table.h"

namespace moecollab::evaluation {

struct TitledTable {
  std::string title, note;
  Table table;
};

// The title is the document's; a table without rows is left out.
struct TablesPage {
  std::string title, introduction;
  std::vector<TitledTable> tables;
};

std::string terminal_text(const TablesPage& page);
std::string markdown_text(const TablesPage& page);

}  // namespace moecollab::evaluation
