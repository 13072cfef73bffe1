#include "data/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "data/clean_text.h"
#include "data/refusal.h"
#include "text/unicode.h"

namespace moecollab::data {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::optional<int64_t> integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  // "007" and "-0" are names, not numbers.
  return fmt::format("{}", value) == text ? std::optional(value) : std::nullopt;
}

using Items = std::vector<std::string>;

// The items of a JSON array; nullopt if it is none, or one of other things than labels.
std::optional<Items> items_of(const Json& list) {
  if (!list.is_array()) return std::nullopt;
  Items items;
  for (const Json& item : list) {
    if (!item.is_string() && !item.is_number_integer()) return std::nullopt;
    items.push_back(item.is_string() ? item.get<std::string>() : item.dump());
  }
  return items;
}

// `0 2`, as numpy prints class numbers.
std::optional<Items> numbers_between_blanks(std::string_view text) {
  Items items;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(kBlanks), text.size());
    if (!integer(text.substr(0, end))) return std::nullopt;
    items.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  }
  return items;
}

// `'joy', 'fear'` or `'joy' 'fear'`, as Python and numpy print strings.
std::optional<Items> quoted_items(std::string_view text) {
  Items items;
  while (!text.empty()) {
    const char quote = text.front();
    const size_t end = text.find(quote, 1);
    if ((quote != '\'' && quote != '"') || end == std::string_view::npos) return std::nullopt;
    items.emplace_back(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n,"), text.size()));
  }
  return items;
}

// The labels of a cell that holds a list; nullopt if it holds none.
std::optional<Items> list_in(std::string_view cell) {
  const bool object = cell.starts_with('{') && cell.ends_with('}');
  if (!object && !(cell.starts_with('[') && cell.ends_with(']'))) return std::nullopt;
  try {
    const Json json = parse_json(cell);
    if (!object) return items_of(json);
    return json.size() == 1 && json.contains("choices") ? items_of(json["choices"]) : std::nullopt;
  } catch (const std::invalid_argument&) {
    if (object) return std::nullopt;
  }
  const std::string_view inner = stripped(cell.substr(1, cell.size() - 2));
  if (auto numbers = numbers_between_blanks(inner)) return numbers;
  return quoted_items(inner);
}

}  // namespace

void refuse_multi_label(std::string_view what, size_t count, size_t column) {
  throw Refused(
      fmt::format("{} is a list of {} labels: multi-label data, a text has one label here", what,
                  count),
      "keep one label per text, or make a data set for each label", column);
}

std::optional<std::string_view> LabelReader::from_text(std::string_view text, std::string_view what,
                                                       size_t column) {
  if (const auto items = list_in(stripped(text))) {
    if (items->empty()) return std::nullopt;
    if (items->size() > 1) refuse_multi_label(what, items->size(), column);
    item_ = items->front();
    if (const auto number = integer(item_)) return from_number(*number, what, column);
    return from_name(item_, what, column);
  }
  if (const auto number = class_number(stripped(text))) return from_number(*number, what, column);
  return from_name(text, what, column);
}

// The number that a label is; if numbers are asked for, also as pandas writes them in a column with
// gaps (1.0).
std::optional<int64_t> LabelReader::class_number(std::string_view label) const {
  if (label.empty() || (label[0] != '-' && (label[0] < '0' || label[0] > '9'))) return std::nullopt;
  const bool asked_for = !columns_.label_names.empty() || columns_.label_base != 0;
  if (asked_for && label.ends_with(".0")) label.remove_suffix(2);
  return integer(label);
}

std::optional<std::string_view> LabelReader::from_number(int64_t number, std::string_view what,
                                                         size_t column) {
  const std::vector<std::string>& names = columns_.label_names;
  const bool asked_for = !names.empty() || columns_.label_base != 0;
  if (asked_for && number == -1) return std::nullopt;
  if (names.empty()) {
    if (asked_for && number < columns_.label_base) {
      throw Refused(fmt::format("{} is the class number {}, the first one is {}", what, number,
                                columns_.label_base),
                    "--label-base is the number of the first class", column);
    }
    ++counts_.numbers;
    kept_ = fmt::format("{}", number - columns_.label_base);
    return kept_;
  }
  const int64_t place = number - columns_.label_base;
  if (place < 0 || place >= static_cast<int64_t>(names.size())) {
    throw Refused(fmt::format("{} is the class number {}, the {} label names stand for {} to {}",
                              what, number, names.size(), columns_.label_base,
                              columns_.label_base + static_cast<int64_t>(names.size()) - 1),
                  "name every class with --label-names; --label-base is the first one's number",
                  column);
  }
  return names[static_cast<size_t>(place)];
}

std::optional<std::string_view> LabelReader::from_bool(bool value, std::string_view what) {
  return from_name(value ? "true" : "false", what, 0);
}

std::string_view LabelReader::from_name(std::string_view text, std::string_view what,
                                        size_t column) {
  require_content(text, what, column);
  std::string_view label = stripped(text);
  if (label.size() != text.size()) ++counts_.stripped;
  if (!text::is_ascii(label)) {
    std::string composed = text::nfc(label);
    if (composed != label) ++counts_.composed;
    kept_ = std::move(composed);
    label = kept_;
  }
  const std::vector<std::string>& names = columns_.label_names;
  if (!names.empty() && std::ranges::find(names, label) == names.end()) {
    throw Refused(fmt::format("{} is `{}`, which is none of the label names{}", what,
                              escaped(label, 40), did_you_mean(label, names)),
                  "label names are for class numbers: leave them out for labels that are text",
                  column);
  }
  return label;
}

}  // namespace moecollab::data
