// Results that are a sentence, some tables and charts, for a terminal and as a document;
// torch-free.
#pragma once

#include <string>
#include <vector>

#include "evaluation/chart.h"
#include "evaluation/table.h"

namespace moecollab::evaluation {

// The title is the document's; a table without rows is left out.
struct TablesPage {
  std::string title, introduction;  // the latter in lines
  std::vector<TitledTable> tables;
  std::vector<Chart> charts = {};
};

std::string terminal_text(const TablesPage& page);
std::string markdown_text(const TablesPage& page);
// A self-contained page (html_page.h).
std::string html_document(const TablesPage& page);

}  // namespace moecollab::evaluation
