#include "data/label_exports.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/strings.h"
#include "data/refusal.h"

namespace moecollab::data {
namespace {

using Element = LabelExports::Element;
using Object = LabelExports::Object;

// The member of this name if it is of that type.
template <typename T>
std::optional<T> member(Object members, std::string_view key) {
  T value;
  if (members[key].get(value) == simdjson::SUCCESS) return value;
  return std::nullopt;
}

std::string value_shown(Element value) { return escaped(std::string(simdjson::minify(value)), 40); }

// Answers that count: those without a status, and submitted ones.
bool counts(Object answer) {
  const auto status = member<std::string_view>(answer, "status");
  return !status || *status == "submitted";
}

}  // namespace

class LabelExports::Answers {
 public:
  void add(std::string_view label) {
    if (given_ == 0) label_ = label;
    disagreed_ |= label_ != label;
    ++given_;
  }
  void put_into(Record& record, std::string& kept) const {
    record.labelled = given_ == 0  ? Labelled::kNo
                      : disagreed_ ? Labelled::kDisagreed
                                   : Labelled::kYes;
    kept = record.labelled == Labelled::kYes ? label_ : std::string();
    record.label = kept;
  }

 private:
  std::string label_;
  int64_t given_ = 0;
  bool disagreed_ = false;
};

bool LabelExports::is_annotation(Object members) const {
  Element value;
  return members["annotation_id"].get(value) == simdjson::SUCCESS;
}

std::optional<Record> LabelExports::read(Object members, Need need, LabelReader& labels) {
  if (const auto fields = member<Object>(members, "fields")) {
    if (const auto responses = member<Object>(members, "responses"))
      return from_fields(*fields, *responses, need, labels);
  }
  Element annotations;
  if (members["annotations"].get(annotations) != simdjson::SUCCESS || !annotations.is_array())
    return std::nullopt;
  if (const auto data = member<Object>(members, "data"))
    return from_task(*data, annotations, need, labels);
  if (const auto text = member<std::string_view>(members, "text")) {
    Record record;
    record.text = *text;
    Answers answers;
    for (const Element annotation : annotations.get_array()) {
      Element label;
      if (annotation["label"].get(label) == simdjson::SUCCESS)
        add(label, "`label`", labels, answers);
    }
    if (need != Need::kText) answers.put_into(record, label_);
    return record;
  }
  return std::nullopt;
}

// Label Studio: each annotation that was not cancelled holds results of type `choices`.
Record LabelExports::from_task(Object data, Element annotations, Need need, LabelReader& labels) {
  Record record;
  record.text = text_in(data);
  if (need == Need::kText) return record;
  Answers answers;
  std::string tag = columns_.label;
  for (const Element annotation : annotations.get_array()) {
    bool cancelled = false;
    if (annotation["was_cancelled"].get(cancelled) == simdjson::SUCCESS && cancelled) continue;
    simdjson::dom::array results;
    if (annotation["result"].get(results) != simdjson::SUCCESS) continue;
    for (const Element result : results) {
      std::string_view type, from;
      Element choices;
      if (result["type"].get(type) != simdjson::SUCCESS || type != "choices" ||
          result["from_name"].get(from) != simdjson::SUCCESS ||
          result["value"]["choices"].get(choices) != simdjson::SUCCESS) {
        continue;
      }
      if (tag.empty()) tag = from;
      if (from != tag) {
        if (!columns_.label.empty()) continue;
        throw RefusedFile(fmt::format("two tags hold choices: `{}` and `{}`", escaped(tag, 40),
                                      escaped(from, 40)),
                          fmt::format("say which: --label-column {}", escaped(tag, 40)));
      }
      add(choices, fmt::format("`{}`", escaped(from, 40)), labels, answers);
    }
  }
  answers.put_into(record, label_);
  return record;
}

// Argilla: responses.<question> is a list of {value, user_id}.
Record LabelExports::from_fields(Object fields, Object responses, Need need, LabelReader& labels) {
  Record record;
  record.text = text_in(fields);
  if (need == Need::kText) return record;
  Answers answers;
  const std::vector<std::string_view> questions = keys_of(responses);
  std::string question = columns_.label;
  if (question.empty() && questions.size() > 1) {
    throw RefusedFile(fmt::format("{} questions have responses: `{}` and `{}`", questions.size(),
                                  escaped(questions[0], 40), escaped(questions[1], 40)),
                      fmt::format("say which: --label-column {}", escaped(questions[0], 40)));
  }
  if (question.empty() && !questions.empty()) question = questions[0];
  Element given;
  if (responses[question].get(given) == simdjson::SUCCESS)
    add(given, fmt::format("`{}`", escaped(question, 40)), labels, answers);
  answers.put_into(record, label_);
  return record;
}

std::string_view LabelExports::text_in(Object members) {
  const std::vector<std::string_view> keys = keys_of(members);
  Columns asked = columns_;
  asked.id.clear();
  std::vector<size_t> places;
  // A tool's only field is the text, whatever its name.
  if (asked.text.empty() && asked.join.empty() && keys.size() == 1) {
    places = {0};
  } else {
    places = find_columns(keys, asked, Need::kText).text;
  }
  text_.clear();
  for (const size_t place : places) {
    std::string_view part;
    if (members[keys[place]].get(part) != simdjson::SUCCESS)
      throw Refused(fmt::format("`{}` is no string", escaped(keys[place], 40)));
    append_part(text_, part);
  }
  return text_;
}

void LabelExports::read_label(Object members, Key key, Element value, LabelReader& labels,
                              Record& record) {
  const std::string_view what = key.shown;
  const bool annotation = is_annotation(members);
  if (annotation) {
    Element task;
    if (members["id"].get(task) == simdjson::SUCCESS) task_ = simdjson::minify(task);
    record.task = task_;
  }
  // The usual cases, without a copy.
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS && !(annotation && text.empty())) {
    const auto label = labels.from_text(text, what);
    record.labelled = label ? Labelled::kYes : Labelled::kNo;
    record.label = label.value_or(std::string_view());
    return;
  }
  if (value.is_null() && !annotation && !key.name.ends_with(".responses")) {
    throw Refused(fmt::format("{} is null, a label is needed", what),
                  "remove the record, or fill it in");
  }
  Answers answers;
  if (key.name.ends_with(".responses") && value.is_array()) {
    // Argilla's flat form: the statuses stand in a list of their own.
    simdjson::dom::array statuses;
    const bool has_status =
        members[fmt::format("{}.status", key.name)].get(statuses) == simdjson::SUCCESS;
    size_t place = 0;
    for (const Element answer : value.get_array()) {
      std::string_view status = "submitted";
      if (has_status && statuses.at(place++).get(status) != simdjson::SUCCESS) status = {};
      if (status == "submitted") add(answer, what, labels, answers);
    }
  } else {
    add(value, what, labels, answers);
  }
  answers.put_into(record, label_);
}

void LabelExports::add(Element value, std::string_view what, LabelReader& labels,
                       Answers& answers) {
  const auto take = [&](std::optional<std::string_view> label) {
    if (label) answers.add(*label);
  };
  switch (value.type()) {
    case simdjson::dom::element_type::NULL_VALUE:
      return;
    case simdjson::dom::element_type::STRING: {
      const std::string_view text = value.get_string();
      if (!text.empty()) take(labels.from_text(text, what));
      return;
    }
    case simdjson::dom::element_type::INT64:
      return take(labels.from_number(value.get_int64(), what));
    case simdjson::dom::element_type::BOOL:
      return take(labels.from_bool(value.get_bool(), what));
    case simdjson::dom::element_type::DOUBLE: {
      // pandas writes the class numbers of a column with gaps as 0.0.
      const double number = value.get_double();
      if (std::trunc(number) == number && std::abs(number) < 1e15)
        return take(labels.from_number(static_cast<int64_t>(number), what));
      break;
    }
    case simdjson::dom::element_type::OBJECT: {
      const Object object = value.get_object();
      Element inner;
      if (object["choices"].get(inner) == simdjson::SUCCESS)
        return add(inner, what, labels, answers);
      if (object["value"].get(inner) == simdjson::SUCCESS) {
        if (counts(object)) add(inner, what, labels, answers);
        return;
      }
      break;
    }
    case simdjson::dom::element_type::ARRAY: {
      const simdjson::dom::array items = value.get_array();
      const bool of_answers = std::ranges::all_of(items, [](const Element item) {
        return item.is_object() && item["value"].error() == simdjson::SUCCESS;
      });
      if (!of_answers && items.size() > 1) refuse_multi_label(what, items.size());
      for (const Element item : items) add(item, what, labels, answers);
      return;
    }
    default:
      break;
  }
  throw Refused(fmt::format("{} is {}, a label is text, a class number or true or false", what,
                            value_shown(value)),
                "make it a string");
}

std::vector<std::string_view> keys_of(Object members) {
  std::vector<std::string_view> keys;
  for (const auto& entry : members) keys.push_back(entry.key);
  return keys;
}

void append_part(std::string& text, std::string_view part) {
  if (!text.empty() && !part.empty()) text += ' ';
  text += part;
}

}  // namespace moecollab::data
