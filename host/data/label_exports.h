// The shapes in which labelling tools export texts and labels as JSON (docs/data.md).
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/columns.h"
#include "data/labels.h"
#include "data/record.h"

namespace moecollab::data {

// Reads what is nested, and values that hold more than a label. Not thread-safe; views are valid
// until the next call or the end of the parsed object.
class LabelExports {
 public:
  using Object = simdjson::dom::object;
  using Element = simdjson::dom::element;

  // `columns` must outlive it.
  explicit LabelExports(const Columns& columns) : columns_(columns) {}

  // The text and label of an object that nests them: Label Studio's tasks (data, annotations),
  // Argilla's records (fields, responses), Doccano's before 1.3 (text, annotations); nullopt for
  // any other object. Throws Refused.
  std::optional<Record> read(Object members, Need need, LabelReader& labels);

  // Whether the object is a row of an export with one row per annotation (Label Studio's).
  bool is_annotation(Object members) const;

  struct Key {
    std::string_view name;
    std::string_view shown;  // as messages name it
  };
  // The label that `value`, under the key, stands for: text, number, truth value, a list of
  // one, {"choices": […]}, or annotators' answers {"value", "status"}. Sets label, labelled and
  // task.
  void read_label(Object members, Key key, Element value, LabelReader& labels, Record& record);

 private:
  // What annotators said of one text.
  class Answers;

  Record from_task(Object data, Element annotations, Need need, LabelReader& labels);
  Record from_fields(Object fields, Object responses, Need need, LabelReader& labels);
  std::string_view text_in(Object members);
  void add(Element value, std::string_view what, LabelReader& labels, Answers& answers);

  const Columns& columns_;
  std::string text_, label_, task_;
};

// In the order of the object; valid as long as it is.
std::vector<std::string_view> keys_of(LabelExports::Object members);

// Adds a part of a text that is made of several columns: a blank stands between two that are not
// empty.
void append_part(std::string& text, std::string_view part);

}  // namespace moecollab::data
