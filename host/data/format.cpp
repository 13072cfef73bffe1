#include "data/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "data/clean_text.h"
#include "data/delimited.h"
#include "data/input_buffer.h"
#include "data/refusal.h"

namespace moecollab::data {
namespace {

using namespace std::string_view_literals;

constexpr size_t kMaxHeader = size_t{64} << 10;  // bytes of a first line that is looked at

constexpr std::pair<std::string_view, Format> kNames[] = {
    {"auto", Format::kAuto}, {"jsonl", Format::kJsonl}, {"json", Format::kJson},
    {"csv", Format::kCsv},   {"tsv", Format::kTsv},     {"lines", Format::kLines}};

constexpr std::pair<std::string_view, Quoting> kQuotings[] = {
    {"auto", Quoting::kAuto}, {"csv", Quoting::kCsv}, {"none", Quoting::kNone}};

constexpr std::pair<std::string_view, Format> kExtensions[] = {
    {"", Format::kAuto},      {".jsonl", Format::kJsonl}, {".ndjson", Format::kJsonl},
    {".json", Format::kJson}, {".csv", Format::kCsv},     {".tsv", Format::kTsv},
    {".tab", Format::kTsv},   {".txt", Format::kLines}};

// What other programs read, by its first bytes, and the command that converts it.
struct Foreign {
  std::string_view magic, name, hint;
};
constexpr const char* kParquetHint =
    "python3 -c \"import pandas, sys; pandas.read_parquet(sys.argv[1]).to_json(sys.argv[1] + "
    "'.jsonl', orient='records', lines=True, force_ascii=False)\" FILE";
constexpr const char* kExcelHint =
    "python3 -c \"import pandas, sys; pandas.read_excel(sys.argv[1], dtype=str, "
    "keep_default_na=False).to_csv(sys.argv[1] + '.csv', index=False)\" FILE, or save it as CSV "
    "UTF-8";
constexpr Foreign kForeign[] = {
    {"PAR1"sv, "a Parquet file", kParquetHint},
    {"ARROW1\0\0"sv, "an Arrow file",
     "python3 -c \"import pandas, sys; pandas.read_feather(sys.argv[1]).to_json(sys.argv[1] + "
     "'.jsonl', orient='records', lines=True, force_ascii=False)\" FILE"},
    {"PK\x03\x04[Content_Types].xml"sv, "an Excel workbook (.xlsx)", kExcelHint},
    {"PK\x03\x04"sv, "a zip archive, or an Excel workbook (.xlsx)",
     "unzip FILE; of a workbook: save it as CSV UTF-8"},
    {"\xD0\xCF\x11\xE0"sv, "an old Excel workbook (.xls)", kExcelHint},
    {"BZh"sv, "packed with bzip2", "bunzip2 -k FILE"},
    {"\xFD"
     "7zXZ"sv,
     "packed with xz", "unxz -k FILE"},
    {"7z\xBC\xAF"sv, "a 7z archive", "7z x FILE"},
    {"SQLite format 3"sv, "an SQLite database", "sqlite3 -csv -header FILE 'select * from …'"},
    {"%PDF-"sv, "a PDF document", "give its texts as a table or as lines"},
    {"\x80\x04\x95"sv, "a Python pickle, which nobody should open", "ask for CSV or JSON Lines"},
};

template <typename Value, size_t n>
Value parse_word(std::string_view word, const std::pair<std::string_view, Value> (&known)[n],
                 const char* noun) {
  std::vector<std::string> words;
  for (const auto& [text, value] : known) {
    if (word == text) return value;
    words.emplace_back(text);
  }
  throw Error("E_CONFIG",
              fmt::format("`{}` is no {}{}", escaped(word, 40), noun, did_you_mean(word, words)),
              fmt::format("the {}s are {}", noun, join(words, ", ")));
}

// The byte after blanks and line ends, from `from` on.
size_t after_blanks(std::string_view text, size_t from) {
  return std::min(text.find_first_not_of(" \t\r\n", from), text.size());
}

enum class Looks { kLikeJsonLines, kLikeJson, kLikeText, kUnclear };

// Whether the text is JSON: it begins with `{`, even if what follows is damaged, or with `[{`,
// `["`,
// `[[` or `[]`, blanks and line ends between them left out. `spans_lines`: an object whose first
// line is not its last is expected, not damaged.
Looks look(std::string_view text, bool finished, bool spans_lines) {
  const char first = text.front();
  if (first != '{' && first != '[') return Looks::kLikeText;
  const size_t second = after_blanks(text, 1);
  if (second == text.size() && !finished) return Looks::kUnclear;
  if (first == '[') {
    const bool json = second < text.size() &&
                      std::string_view("{\"[]").find(text[second]) != std::string_view::npos;
    return json ? Looks::kLikeJson : Looks::kLikeText;
  }
  // An object that does not end on its line is one of several that span lines.
  const size_t end = text.find_first_of("\r\n");
  if (second > end) return Looks::kLikeJson;
  if (!spans_lines || end == std::string_view::npos)
    return spans_lines && !finished ? Looks::kUnclear : Looks::kLikeJsonLines;
  return stripped(text.substr(0, end)).ends_with('}') ? Looks::kLikeJsonLines : Looks::kLikeJson;
}

// The fields of one line; none if it is no row.
std::vector<std::string> fields_of(std::string_view line, char delimiter) {
  RowReader rows(delimiter, Quotes::kCsv);
  rows.feed(line);
  rows.finish();
  const Row* row = rows.next();
  if (row == nullptr || !row->damage.empty()) return {};
  return {row->fields.begin(), row->fields.end()};
}

// A name as columns have it, unlike a part of a sentence.
bool is_column_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_of(" \t.!?") == std::string_view::npos;
}

// Whether the line is the header of a table with this delimiter that has the text column.
bool is_header(std::string_view line, char delimiter, const Columns& columns) {
  const std::vector<std::string> fields = fields_of(line, delimiter);
  std::vector<std::string_view> names;
  for (const std::string& field : fields) names.push_back(stripped(field));
  return names.size() > 1 && has_text_column(names, columns) &&
         std::ranges::all_of(names, is_column_name);
}

bool is_lone_header(std::string_view line, const Columns& columns) {
  const std::string_view names[] = {line};
  return has_text_column(names, columns);
}

[[noreturn]] void refuse_delimiter(char delimiter) {
  throw RefusedFile(
      fmt::format(
          "the columns are separated by `{}`; in CSV they are separated by commas, in TSV by "
          "tabs",
          delimiter),
      fmt::format("python3 -c \"import pandas, sys; pandas.read_csv(sys.argv[1], sep='{}', "
                  "dtype=str, keep_default_na=False).to_csv(sys.argv[1] + '.csv', index=False)\" "
                  "FILE (with encoding='cp1252' or 'utf-16' if it is no UTF-8)",
                  delimiter));
}

// What is no table that is read here, though it is named as one.
void require_delimiter(std::string_view line, const Columns& columns, bool table) {
  if (line.size() == 5 && line.starts_with("sep="))
    throw RefusedFile("its first line is Excel's `sep=`, no header", "sed -i 1d FILE removes it");
  for (const char other : {';', '|'}) {
    const std::vector<std::string> fields = fields_of(line, other);
    const bool names = fields.size() > 1 && std::ranges::all_of(fields, is_column_name);
    const bool alone = line.find_first_of(",\t") == std::string_view::npos;
    if (is_header(line, other, columns) || (table && names && alone)) refuse_delimiter(other);
  }
}

// Whether the user spoke of columns: then there are some.
bool names_columns(const Columns& columns) {
  return !columns.text.empty() || !columns.join.empty() || !columns.id.empty() ||
         !columns.label.empty();
}

// A table by its name, or a first line that may be a header.
std::optional<Judgement> judge_table(std::string_view line, Format named, const Columns& columns) {
  const bool table = has_columns(named);
  if (!columns.names.empty()) {
    const bool tabs = line.find('\t') != std::string_view::npos;
    return Judgement{table ? named : tabs ? Format::kTsv : Format::kCsv, {}, false};
  }
  for (const Format format : {named == Format::kTsv ? Format::kTsv : Format::kCsv,
                              named == Format::kTsv ? Format::kCsv : Format::kTsv}) {
    if (!is_header(line, format == Format::kTsv ? '\t' : ',', columns)) continue;
    const char* separator = format == Format::kTsv ? "tabs" : "commas";
    if (format == named) return Judgement{format, {}, false};
    return Judgement{format,
                     fmt::format("read as {}: its first line names columns, separated by {}",
                                 ascii_lower(std::string(name(format))), separator),
                     false};
  }
  require_delimiter(line, columns, table);
  return table ? std::optional(Judgement{named, {}, false}) : std::nullopt;
}

}  // namespace

Format parse_format(std::string_view word) { return parse_word(word, kNames, "format"); }
Quoting parse_quoting(std::string_view word) { return parse_word(word, kQuotings, "quoting"); }

std::string_view name(Format format) {
  return std::ranges::find(kNames, format, &std::pair<std::string_view, Format>::second)->first;
}

std::optional<Format> format_of(const fs::path& file) {
  fs::path unpacked = file;
  std::string extension = ascii_lower(file.extension().string());
  if (extension == ".gz" || extension == ".zst") {
    unpacked = file.stem();
    extension = ascii_lower(unpacked.extension().string());
  }
  for (const auto& [text, format] : kExtensions) {
    if (extension == text) return format;
  }
  return std::nullopt;
}

Reading overlaid(Reading base, const Reading& other) {
  const auto take = [](auto& mine, const auto& theirs, const auto& nothing) {
    if (theirs != nothing) mine = theirs;
  };
  const Reading silent;
  take(base.format, other.format, silent.format);
  take(base.quoting, other.quoting, silent.quoting);
  take(base.columns.text, other.columns.text, silent.columns.text);
  take(base.columns.label, other.columns.label, silent.columns.label);
  take(base.columns.id, other.columns.id, silent.columns.id);
  take(base.columns.names, other.columns.names, silent.columns.names);
  take(base.columns.join, other.columns.join, silent.columns.join);
  take(base.columns.label_base, other.columns.label_base, silent.columns.label_base);
  take(base.columns.label_names, other.columns.label_names, silent.columns.label_names);
  return base;
}

bool has_columns(Format format) { return format == Format::kCsv || format == Format::kTsv; }

void refuse_foreign_format(std::string_view head) {
  for (const Foreign& foreign : kForeign) {
    if (head.starts_with(foreign.magic))
      throw RefusedFile(fmt::format("it is {}", foreign.name), std::string(foreign.hint));
  }
}

std::optional<Judgement> judge_format(std::string_view head, bool finished,
                                      std::optional<Format> by_name, const Columns& columns) {
  const Format named = by_name.value_or(Format::kAuto);
  const size_t begin = after_blanks(head, 0);
  if (begin == head.size() && !finished && begin < kMaxHeader) return std::nullopt;
  const Format otherwise = named == Format::kAuto ? Format::kLines : named;
  if (begin == head.size()) return Judgement{otherwise, {}, false};
  const std::string_view text = head.substr(begin);
  const Looks looks = look(text, finished || text.size() >= kMaxHeader, named == Format::kJson);
  if (looks == Looks::kUnclear) return std::nullopt;
  if (looks != Looks::kLikeText) {
    if (!columns.names.empty())
      throw RefusedFile("names of columns are given, and its content is JSON, which names its own",
                        "leave --columns out");
    const Format format = looks == Looks::kLikeJson ? Format::kJson : Format::kJsonl;
    const bool expected =
        named == Format::kAuto || named == Format::kJsonl || named == Format::kJson;
    return Judgement{format, expected ? "" : "read as JSON, which its content is", false};
  }
  if (named == Format::kJsonl || named == Format::kJson)
    return Judgement{Format::kJsonl, {}, false};
  const size_t end = find_either(text, 0, '\n', '\r');
  if (end == std::string_view::npos && !finished && text.size() < kMaxHeader) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  if (auto table = judge_table(line, named, columns)) return table;
  if (is_lone_header(stripped(line), columns)) {
    throw RefusedFile(fmt::format("its first line is `{}`: the header of a table, or a text?",
                                  escaped(stripped(line), 40)),
                      "say --format csv, or --format lines");
  }
  if (names_columns(columns)) {
    throw RefusedFile(
        fmt::format("a column is asked for, and the first line, `{}`, is no header that has it",
                    escaped(line, 60)),
        "say --format csv or tsv if it is a table, --columns if it has no header");
  }
  if (!by_name) {
    throw RefusedFile(
        "its extension stands for no format, and its content is neither JSON nor a table",
        "say --format lines if each line is a text");
  }
  return Judgement{Format::kLines, {}, true};
}

}  // namespace moecollab::data
