// A report: from figures to JSON, and from JSON to what a person reads. Its sections are the rows
// of a list (report_sections.h). What renders throws E_DATA unless `report` has the schema
// "moecollab.report/1", and shows an absent or null value as "–".
#pragma once

#include <string>

#include "base/json.h"
#include "evaluation/report_sections.h"
#include "evaluation/table.h"

namespace moecollab::evaluation {

// The document of `eval --report`: "schema", then each section's key in the order of the list.
Json report_json(const Figures& figures, const Sections& sections = report_sections());

// Any table, aligned, one line per row, ending in a newline.
std::string terminal_text(const Table& table);

// Any table as Markdown, ending in a newline.
std::string markdown_table(const Table& table);

// The headline table, aligned, one line per row, ending in a newline.
std::string terminal_table(const Json& report);

// A line for each finding of the report's diagnosis.
std::string diagnosis_text(const Json& report);

// All parts as a Markdown document.
std::string to_markdown(const Json& report, const Sections& sections = report_sections());

// All parts as one self-contained HTML page (html_page.h).
std::string to_html(const Json& report, const Sections& sections = report_sections());

}  // namespace moecollab::evaluation
