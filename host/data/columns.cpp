#include "data/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "data/clean_text.h"
#include "data/lines.h"
#include "data/refusal.h"
#include "data/text_decoder.h"

namespace moecollab::data {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view kTextNames[] = {"text", "sentence", "content", "review", "question"};
constexpr std::string_view kLabelNames[] = {"label", "labels",   "sentiment",
                                            "class", "category", "label.responses"};
constexpr std::string_view kNamesOfNumbers = "label_text";
constexpr uint64_t kMaxLabelNames = uint64_t{4} << 20;  // bytes of the file

std::vector<std::string> shown_names(Names names) {
  std::vector<std::string> shown;
  for (const std::string_view name : names) shown.push_back(escaped(name, 40));
  return shown;
}

std::string listed(Names names) {
  return fmt::format("`{}`", escaped(join(shown_names(names), "`, `"), 300));
}

// Where the column of exactly this name is.
std::optional<size_t> find_named(Names names, std::string_view name) {
  std::optional<size_t> found;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != name) continue;
    if (found) {
      throw RefusedFile(fmt::format("column `{}` stands twice, as {} and {}", escaped(name, 40),
                                    *found + 1, i + 1),
                        "name each column once", i + 1);
    }
    found = i;
  }
  return found;
}

size_t require_named(Names names, std::string_view name) {
  if (const auto found = find_named(names, name)) return *found;
  throw MissingColumn(name,
                      fmt::format("column `{}` is missing{}; the columns are {}", escaped(name, 40),
                                  did_you_mean(name, shown_names(names)), listed(names)),
                      "name a column that the file has", names.size() + 1);
}

// The places whose names are among the ones in use.
std::vector<size_t> places_in_use(Names names, Names in_use) {
  std::vector<size_t> places;
  for (size_t i = 0; i < names.size(); ++i) {
    if (std::ranges::count(in_use, ascii_lower(stripped(names[i]))) > 0) places.push_back(i);
  }
  return places;
}

// The one column of a name in use; nullopt if there is none.
std::optional<size_t> find_in_use(Names names, Names in_use, std::string_view what) {
  const std::vector<size_t> places = places_in_use(names, in_use);
  if (places.empty()) return std::nullopt;
  if (places.size() > 1) {
    for (const size_t place : places) find_named(names, names[place]);
    std::vector<std::string_view> candidates;
    for (const size_t place : places) candidates.push_back(names[place]);
    throw RefusedFile(
        fmt::format("{} columns may hold the {}: {}", places.size(), what, listed(candidates)),
        fmt::format("say which: --{}-column {}", what, escaped(candidates[0], 40)), places[1] + 1);
  }
  return places[0];
}

[[noreturn]] void refuse_missing(Names names, std::string_view what, Names in_use) {
  throw MissingColumn(
      what,
      fmt::format(
          "column `{}` is missing{}; {} {}", what, did_you_mean(what, shown_names(names)),
          names.size() == 1 ? "the only column seen (wrong delimiter?) is" : "the columns are",
          listed(names)),
      fmt::format("say --{0}-column NAME, or for one domain's file alone --data "
                  "DOMAIN=FILE,{0}-column=NAME (without it one of these is looked for: {1}); "
                  "--columns if the table has no header",
                  what, fmt::join(in_use, ", ")),
      names.size() + 1);
}

std::vector<size_t> text_places(Names names, const Columns& asked) {
  std::vector<size_t> places;
  for (const std::string& name : asked.join) places.push_back(require_named(names, name));
  if (!places.empty()) return places;
  if (!asked.text.empty()) return {require_named(names, asked.text)};
  if (const auto found = find_in_use(names, kTextNames, "text")) return {*found};
  // Doccano's exports before 1.7.
  const auto data = find_named(names, "data");
  if (!data || !find_named(names, "label")) refuse_missing(names, "text", kTextNames);
  return {*data};
}

std::optional<size_t> label_place(Names names, const Columns& asked, bool required) {
  if (!asked.label.empty()) return require_named(names, asked.label);
  constexpr std::string_view kNumbersAndNames[] = {"label", kNamesOfNumbers};
  if (places_in_use(names, std::span(kNumbersAndNames).subspan(1)).size() == 1)
    return places_in_use(names, std::span(kNumbersAndNames).subspan(1))[0];
  const auto found = find_in_use(names, kLabelNames, "label");
  if (!found && required) refuse_missing(names, "label", kLabelNames);
  return found;
}

}  // namespace

ColumnPlaces find_columns(Names names, const Columns& asked, Need need) {
  ColumnPlaces places{text_places(names, asked), std::nullopt, std::nullopt};
  if (need != Need::kText) places.label = label_place(names, asked, need == Need::kTextAndLabel);
  places.id = asked.id.empty() ? find_named(names, "id") : require_named(names, asked.id);
  return places;
}

bool has_text_column(Names names, const Columns& asked) {
  const auto has = [&](std::string_view name) { return std::ranges::count(names, name) > 0; };
  if (!asked.join.empty()) return std::ranges::all_of(asked.join, has);
  if (!asked.text.empty()) return has(asked.text);
  return !places_in_use(names, kTextNames).empty();
}

std::vector<std::string> parse_names(std::string_view list, std::string_view option) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  while (true) {
    const size_t comma = list.find(',');
    names.emplace_back(stripped(list.substr(0, comma)));
    if (names.back().empty() || !seen.insert(names.back()).second) {
      throw Error(
          "E_CONFIG",
          fmt::format("{}: name {} (`{}`) is {}", option, names.size(), escaped(names.back(), 40),
                      names.back().empty() ? "empty" : "there twice"),
          "names are separated by commas, as in a,b,c");
    }
    if (comma == std::string_view::npos) return names;
    list.remove_prefix(comma + 1);
  }
}

std::vector<std::string> read_label_names(std::string_view list_or_file) {
  std::error_code ignored;
  const fs::path file(list_or_file);
  if (!fs::is_regular_file(file, ignored)) {
    std::vector<std::string> names = parse_names(list_or_file, "label names");
    if (names.size() > 1) return names;
    throw Error(
        "E_CONFIG",
        fmt::format("label names: `{}` is one name, and no file", escaped(list_or_file, 80)),
        "give a file with a name per line, or the names: a,b,c");
  }
  std::set<std::string> seen;
  std::vector<std::string> names;
  LineSplitter lines;
  const std::string bytes = read_file(file, "E_CONFIG", kMaxLabelNames);
  TextDecoder decoder;
  lines.feed(decoder.feed(bytes));
  lines.feed(decoder.finish());
  lines.finish();
  while (const auto line = lines.next()) {
    const std::string_view name = stripped(line->bytes);
    if (name.empty()) continue;
    const std::string where = fmt::format("{}:{}", shown(file), line->number);
    if (!is_utf8(name)) throw Error("E_CONFIG", where + ": the name is not UTF-8");
    if (!seen.insert(std::string(name)).second)
      throw Error("E_CONFIG", fmt::format("{}: `{}` stands twice", where, escaped(name, 40)));
    names.emplace_back(name);
  }
  if (names.empty()) throw Error("E_CONFIG", shown(file) + " holds no label name");
  return names;
}

}  // namespace moecollab::data
