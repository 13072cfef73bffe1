// Documents of other verbs that the pages of a report can show beside its own figures.
#pragma once

#include <span>
#include <string_view>

#include "evaluation/section.h"
#include "evaluation/tables_page.h"

namespace moecollab::evaluation {

struct ShownDocument {
  std::string_view schema;
  std::string_view verb;  // that writes it
  // Throws E_DATA for a document of another form.
  TablesPage (*page)(const Json& document);
  // For a report that has the document under its key.
  Section (*section)();
};

// A row each; a new one is its line here and its parts in the .cpp.
std::span<const ShownDocument> shown_documents();

}  // namespace moecollab::evaluation
