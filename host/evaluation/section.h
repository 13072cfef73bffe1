// A section of the report: one key of its JSON, and the parts of a document that show it.
//
// report_sections.h lists them. A report is the document of `eval --report`, schema
// "moecollab.report/1". Any value in it may be absent or null and is shown as "–"; a value of
// another type throws E_DATA naming its path.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "evaluation/chart.h"
#include "evaluation/figures.h"
#include "evaluation/table.h"

namespace moecollab::evaluation {

// One of the few figures to see first.
struct KeyFigure {
  std::string title;
  std::string value;
  std::string note;
};

// What a part shows. A table without rows and an empty list are left out, heading and all. Of
// several tables under one heading, an HTML page shows each on request. Charts are for the HTML
// page: Markdown has no drawings.
using Content =
    std::variant<Table, std::vector<TitledTable>, std::vector<Chart>, std::vector<KeyFigure>>;

// Where a part stands: ascending numbers down each document, none twice; tens leave room. Without a
// number a document does not show the part.
struct Placement {
  std::optional<int> markdown = {};
  std::optional<int> html = {};
  // On the HTML page, in a row with the parts before and after it that say so too.
  bool beside = false;
};

struct Part {
  std::string_view heading;  // empty for key figures and charts: each has its title
  std::string_view note;     // how to read it; may be empty; of folded tables on the HTML page only
  Content (*show)(const Json& report);  // the whole report: a part may show other sections too
  Placement place;
};

struct Section {
  const char* key;                       // in the report
  Json (*json)(const Figures& figures);  // the key's value
  std::span<const Part> parts = {};      // static; none: the section is in the JSON only
};

using Sections = std::vector<Section>;

// The parts of one document, in its order.
std::vector<const Part*> in_order(const Sections& sections,
                                  std::optional<int> Placement::*document);

}  // namespace moecollab::evaluation
