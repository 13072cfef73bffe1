// An HTML page and what stands on it. Texts come from strangers: all are escaped here.
#pragma once

#include <string>
#include <string_view>

#include "evaluation/chart.h"
#include "evaluation/table.h"

namespace moecollab::evaluation {

// Text as it may stand in an element or a quoted attribute; at most kMaxText bytes of it.
std::string html_text(std::string_view text);

// A paragraph on how to read what follows; "" if there is no note.
std::string html_note(std::string_view note);

std::string html_table(const Table& table);

// A card with the chart's title and note, its JSON, and the canvas that it is drawn on; "" without
// any value.
std::string html_chart(const Chart& chart);

// A whole page, self-contained: its style, and if the body has a chart, the library that draws it.
// The page's policy lets it load nothing, and run nothing but that.
std::string html_page(std::string_view title, std::string_view body);

}  // namespace moecollab::evaluation
