// A report as a person reads it. All three throw E_DATA unless `report` has the schema
// "moecollab.report/1", and show an absent or null value as "–"; see report_tables.h.
#pragma once

#include <string>

#include "base/json.h"

namespace moecollab::evaluation {

// The headline table, aligned, one line a row, ending in a newline.
std::string terminal_table(const Json& report);

// All tables as a Markdown document.
std::string to_markdown(const Json& report);

// All tables as one self-contained HTML page: no scripts, nothing loaded from elsewhere.
std::string to_html(const Json& report);

}  // namespace moecollab::evaluation
