// Which columns of a table, or keys of a JSON object, hold text, label and id.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"

namespace moecollab::data {

// What the user says about them; what stays empty is found by the names in use.
struct Columns {
  std::string text = {}, label = {}, id = {};
  std::vector<std::string> names = {};        // of the columns of a file without a header
  std::vector<std::string> join = {};         // columns that make the text, a blank between them
  int64_t label_base = 0;                     // the class number of the first label
  std::vector<std::string> label_names = {};  // of class numbers, in order; empty: digits stay
};

// Where in a list of column names the columns are.
struct ColumnPlaces {
  std::vector<size_t> text;  // at least one
  std::optional<size_t> label, id;
};

// The places of the columns asked for among `names`, else of the only one with a name in use: text,
// sentence, content, review, question; label, labels, sentiment, class, category; id. `label_text`
// names the classes of a `label` beside it. Letter case and white space around a name do not count
// where no name was asked for. Throws Refused if a column is missing, stands twice, or two names in
// use are there; a label's is looked for as `need` says.
ColumnPlaces find_columns(std::span<const std::string_view> names, const Columns& asked, Need need);

// Whether one of the names is one that holds a text, asked for or in use.
bool has_text_column(std::span<const std::string_view> names, const Columns& asked);

// `a,b,c`: the names, white space around them dropped. Throws E_CONFIG, naming `option`, for an
// empty or repeated one.
std::vector<std::string> parse_names(std::string_view list, std::string_view option);
// The same, or a file with a name per line if there is one of that name.
std::vector<std::string> read_label_names(std::string_view list_or_file);

}  // namespace moecollab::data
