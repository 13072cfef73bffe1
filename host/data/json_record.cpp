#include "data/json_record.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/json.h"
#include "base/strings.h"
#include "data/clean_text.h"
#include "data/input_buffer.h"
#include "data/label_exports.h"
#include "data/refusal.h"

namespace moecollab::data {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

static_assert(InputBuffer::kPadding >= simdjson::SIMDJSON_PADDING);

constexpr int kMaxDepth = 32;
constexpr const char* kObjectHint =
    "a line holds one JSON object: {\"text\": …}, with labels {\"text\": …, \"label\": …}; if "
    "lines are "
    "texts, say --format lines";

std::string shown_value(element value) { return escaped(std::string(simdjson::minify(value)), 40); }

[[noreturn]] void refuse_missing_key(object members, std::string_view key) {
  std::vector<std::string> keys;
  for (const auto& member : members) keys.push_back(escaped(member.key, 40));
  throw Refused(
      fmt::format("key `{}` is missing{}; the keys are `{}`", escaped(key, 40),
                  did_you_mean(key, keys), escaped(join(keys, "`, `"), 300)),
      std::string(kObjectHint) + "; pandas writes such lines with orient='records', lines=True");
}

[[noreturn]] void refuse_twice(std::string_view key) {
  throw Refused(fmt::format("key \"{}\" stands twice", escaped(key, 80)), kObjectHint);
}

// Refuses what the DOM lets pass: a key that stands twice, and deep nesting.
void require_strict(element value, int depth) {
  constexpr size_t kFew = 16;  // keys that are compared pairwise, without an allocation
  if (depth > kMaxDepth)
    throw Refused(fmt::format("nested deeper than {} levels", kMaxDepth), kObjectHint);
  if (value.is_array()) {
    for (const element item : value.get_array()) {
      if (item.is_object() || item.is_array()) require_strict(item, depth + 1);
    }
    return;
  }
  object members;
  if (value.get(members) != simdjson::SUCCESS) return;
  std::array<std::string_view, kFew> few;
  std::vector<std::string_view> many;
  size_t count = 0;
  for (const auto& member : members) {
    if (count < kFew) {
      for (size_t i = 0; i < count; ++i)
        if (few[i] == member.key) refuse_twice(member.key);
      few[count] = member.key;
    } else {
      if (many.empty()) many.assign(few.begin(), few.end());
      many.push_back(member.key);
    }
    ++count;
    if (member.value.is_object() || member.value.is_array())
      require_strict(member.value, depth + 1);
  }
  std::ranges::sort(many);
  const auto twice = std::ranges::adjacent_find(many);
  if (twice != many.end()) refuse_twice(*twice);
}

// Whether `hex` are the four digits of a surrogate from `first` to `last`.
bool is_surrogate(std::string_view hex, unsigned first, unsigned last) {
  unsigned value = 0;
  for (const char c : hex) {
    const char lower = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<unsigned>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      value = value * 16 + static_cast<unsigned>(lower - 'a') + 10;
    } else {
      return false;
    }
  }
  return hex.size() == 4 && value >= first && value <= last;
}

// Puts \ufffd for each escaped half of a surrogate pair; how many.
int64_t replace_half_pairs(std::string& json) {
  constexpr size_t kEscape = 6;  // \uXXXX
  int64_t count = 0;
  const std::string_view text = json;
  for (size_t at = text.find('\\'); at != text.npos; at = text.find('\\', at)) {
    if (text.substr(at, 2) != "\\u") {
      at += 2;
      continue;
    }
    const std::string_view hex = text.substr(at + 2, 4);
    if (is_surrogate(hex, 0xD800, 0xDBFF) && text.substr(at + kEscape, 2) == "\\u" &&
        is_surrogate(text.substr(at + kEscape + 2, 4), 0xDC00, 0xDFFF)) {
      at += 2 * kEscape;
      continue;
    }
    if (is_surrogate(hex, 0xD800, 0xDFFF)) {
      json.replace(at + 2, 4, "fffd");
      ++count;
    }
    at += 2;
  }
  return count;
}

// Puts null for the NaN, Infinity and -Infinity that Python writes for numbers.
void replace_non_finite(std::string& json) {
  bool in_string = false;
  for (size_t at = 0; at < json.size(); ++at) {
    if (in_string && json[at] == '\\') {
      ++at;
    } else if (json[at] == '"') {
      in_string = !in_string;
    } else if (!in_string) {
      for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
        if (json.compare(at, word.size(), word) == 0) json.replace(at, word.size(), "null");
      }
    }
  }
}

}  // namespace

struct JsonRecords::State {
  State(const Columns& asked, Need needed)
      : columns(asked), need(needed), labels(columns), exports(columns) {}

  element parse(std::string_view bytes);
  element parse_again(std::string_view bytes, simdjson::error_code error);
  Record from_columns(object members, int64_t line);
  ColumnPlaces find(object members, const std::vector<std::string_view>& keys) const;
  void settle(object members);
  void settle_label(object members);
  std::string_view text_of(element value, std::string_view key);
  std::string_view raw_id(std::string_view bytes, std::string_view key);
  void read_label(object members, Record& record);

  const Columns columns;
  const Need need;
  LabelReader labels;
  LabelExports exports;
  simdjson::dom::parser parser;
  simdjson::ondemand::parser id_parser;
  std::string repaired, joined, id;
  std::vector<std::string> text_keys;  // once settled
  std::string text_what, label_what;   // as messages name them
  std::string label_key, id_key = "id";
  bool settled = false;
  int64_t replaced = 0;
};

JsonRecords::JsonRecords(const Columns& columns, Need need)
    : state_(std::make_unique<State>(columns, need)) {}
JsonRecords::~JsonRecords() = default;

int64_t JsonRecords::replaced() const { return state_->replaced; }
const LabelCounts& JsonRecords::label_counts() const { return state_->labels.counts(); }

Record JsonRecords::read(std::string_view bytes, int64_t line) {
  const element value = state_->parse(bytes);
  Record record;
  record.line = line;
  if (value.get(record.text) == simdjson::SUCCESS) {
    if (state_->need == Need::kTextAndLabel)
      throw Refused("it is a string, an object with text and label is needed", kObjectHint);
    require_content(record.text, "the string");
    return record;
  }
  object members;
  if (value.get(members) != simdjson::SUCCESS) {
    throw Refused(fmt::format("it is {}, an object is needed", shown_value(value)), kObjectHint);
  }
  require_strict(value, 1);
  if (auto exported = state_->exports.read(members, state_->need, state_->labels)) {
    record = *exported;
    record.line = line;
    require_content(record.text, "the text");
  } else {
    record = state_->from_columns(members, line);
  }
  if (state_->need != Need::kTextAndLabel) record.id = state_->raw_id(bytes, state_->id_key);
  return record;
}

element JsonRecords::State::parse(std::string_view bytes) {
  element value;
  const auto error =
      parser.parse(bytes.data(), bytes.size(), /*realloc_if_needed=*/false).get(value);
  if (error == simdjson::SUCCESS) return value;
  return parse_again(bytes, error);
}

// What the fast parser refuses: half surrogate pairs and what is no number are replaced, integers
// above 64 bits are read as the strict parser reads them, and everything else gets that parser's
// message.
element JsonRecords::State::parse_again(std::string_view bytes, simdjson::error_code error) {
  if (error == simdjson::MEMALLOC) throw std::bad_alloc();
  require_clean_bytes(bytes, "the JSON");
  repaired = bytes;
  const int64_t halves = replace_half_pairs(repaired);
  replace_non_finite(repaired);
  try {
    repaired = to_line(parse_json(repaired, kMaxDepth));
  } catch (const std::invalid_argument& reason) {
    throw Refused(reason.what(), kObjectHint);
  }
  replaced += halves;
  element value;
  if (parser.parse(repaired).get(value) != simdjson::SUCCESS) {
    throw Refused("the JSON holds a number out of range", kObjectHint);
  }
  return value;
}

Record JsonRecords::State::from_columns(object members, int64_t line) {
  if (!settled) settle(members);
  Record record;
  record.line = line;
  joined.clear();
  for (const std::string& key : text_keys) {
    element value;
    const bool there = members[key].get(value) == simdjson::SUCCESS;
    if (text_keys.size() > 1) {
      if (there && !value.is_null()) append_part(joined, text_of(value, key));
      continue;
    }
    if (!there) refuse_missing_key(members, key);
    record.text = text_of(value, key);
  }
  if (text_keys.size() > 1) record.text = joined;
  require_content(record.text, text_what);
  if (need != Need::kText) read_label(members, record);
  return record;
}

// Where this object's columns are; a row of a tool's export may lack its label.
ColumnPlaces JsonRecords::State::find(object members,
                                      const std::vector<std::string_view>& keys) const {
  Columns asked = columns;
  Need needed = need;
  if (settled) {
    asked.join = text_keys;
    asked.id.clear();
  }
  if (need != Need::kText && exports.is_annotation(members)) {
    const bool lacks = !asked.label.empty() && std::ranges::count(keys, asked.label) == 0;
    needed = lacks ? Need::kText : Need::kTextAndAnyLabel;
  }
  try {
    return find_columns(keys, asked, needed);
  } catch (const MissingColumn& error) {
    refuse_missing_key(members, error.name);
  }
}

// Which keys hold what, by the keys of this object.
void JsonRecords::State::settle(object members) {
  const std::vector<std::string_view> keys = keys_of(members);
  for (const size_t place : find(members, keys).text) text_keys.emplace_back(keys[place]);
  text_what = fmt::format("`{}`", escaped(join(text_keys, "`, `"), 80));
  if (!columns.id.empty()) id_key = columns.id;
  settled = true;
}

// Which key holds the label, by the first object that has one.
void JsonRecords::State::settle_label(object members) {
  const std::vector<std::string_view> keys = keys_of(members);
  const ColumnPlaces places = find(members, keys);
  if (!places.label) return;
  label_key = keys[*places.label];
  label_what = fmt::format("`{}`", escaped(label_key, 40));
}

std::string_view JsonRecords::State::text_of(element value, std::string_view key) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return text;
  throw Refused(fmt::format("`{}` is {}, a string is needed", escaped(key, 40), shown_value(value)),
                kObjectHint);
}

void JsonRecords::State::read_label(object members, Record& record) {
  std::string_view answer;
  if (members["answer"].get(answer) == simdjson::SUCCESS &&
      (answer == "reject" || answer == "ignore")) {
    record.labelled = Labelled::kNo;  // Prodigy: the annotator refused the label
    return;
  }
  if (label_key.empty()) settle_label(members);
  element value;
  if (label_key.empty() || members[label_key].get(value) != simdjson::SUCCESS) {
    if (need == Need::kTextAndAnyLabel || exports.is_annotation(members)) {
      record.labelled = Labelled::kNo;
      return;
    }
    refuse_missing_key(members, label_key);
  }
  exports.read_label(members, {label_key, label_what}, value, labels, record);
}

// The id as its bytes stand in the file: a number keeps its digits, a string its escapes.
std::string_view JsonRecords::State::raw_id(std::string_view bytes, std::string_view key) {
  const simdjson::padded_string_view padded(bytes.data(), bytes.size(),
                                            bytes.size() + InputBuffer::kPadding);
  simdjson::ondemand::document document;
  simdjson::ondemand::value value;
  if (id_parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.find_field_unordered(key).get(value) != simdjson::SUCCESS) {
    return {};
  }
  std::string_view raw;
  if (simdjson::to_json_string(value).get(raw) != simdjson::SUCCESS) return {};
  const std::string_view token = stripped(raw);
  id = token == "null" ? std::string_view() : token;
  if (id.find_first_of("\r\n") != id.npos) {
    // An id that spans lines, which strings cannot, is put on one.
    size_t size = 0;
    const auto error = simdjson::minify(token.data(), token.size(), id.data(), size);
    id.resize(error == simdjson::SUCCESS ? size : 0);
  }
  return id;
}

}  // namespace moecollab::data
