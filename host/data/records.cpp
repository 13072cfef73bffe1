#include "data/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "data/lines.h"

namespace moecollab::data {
namespace {

constexpr const char* kObjectHint =
    "a line holds one JSON object: {\"text\": …}, with labels {\"text\": …, \"label\": …}";
constexpr const char* kContentHint = "remove the record, or fill it in";
constexpr const char* kByteOrderMarkHint = "save the file as UTF-8 without a byte order mark";

// Thrown inside this file only; next() turns it into a Refusal.
struct Refused : std::runtime_error {
  explicit Refused(const std::string& reason, std::string hint_text = {}, size_t column_number = 0)
      : std::runtime_error(reason), hint(std::move(hint_text)), column(column_number) {}
  std::string hint;
  size_t column;
};

Refusal refusal(int64_t line, const Refused& error) {
  return {line, static_cast<int64_t>(error.column), error.what(), error.hint};
}

// White_Space of Unicode's PropList beyond ASCII, in UTF-8.
constexpr std::string_view kWideSpaces[] = {"\u0085", "\u00A0", "\u1680", "\u2000", "\u2001",
                                            "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
                                            "\u2007", "\u2008", "\u2009", "\u200A", "\u2028",
                                            "\u2029", "\u202F", "\u205F", "\u3000"};

bool is_blank(std::string_view text) {
  while (!text.empty()) {
    if (text[0] == ' ' || (text[0] >= '\t' && text[0] <= '\r')) {
      text.remove_prefix(1);
      continue;
    }
    const auto space = std::ranges::find_if(
        kWideSpaces, [&](std::string_view wide) { return text.starts_with(wide); });
    if (space == std::end(kWideSpaces)) return false;
    text.remove_prefix(space->size());
  }
  return true;
}

void require_clean_bytes(std::string_view bytes, std::string_view what, size_t column = 0) {
  const size_t nul = bytes.find('\0');
  if (nul != std::string_view::npos) {
    throw Refused(fmt::format("{} holds a NUL byte (byte {})", what, nul + 1),
                  "the file may be damaged, or UTF-16: save it as UTF-8", column);
  }
  size_t offset = 0;
  if (!is_utf8(bytes, &offset)) {
    throw Refused(fmt::format("{} is not UTF-8 (byte {}: 0x{:02x})", what, offset + 1,
                              static_cast<unsigned char>(bytes[offset])),
                  "save the file as UTF-8", column);
  }
}

void require_content(std::string_view text, std::string_view what, size_t column = 0) {
  if (text.empty()) throw Refused(fmt::format("{} is empty", what), kContentHint, column);
  if (is_blank(text)) {
    throw Refused(fmt::format("{} holds nothing but white space", what), kContentHint, column);
  }
}

std::string text_member(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end()) {
    std::vector<std::string> keys;
    for (const auto& item : object.items()) keys.push_back(escaped(item.key(), 40));
    throw Refused(fmt::format("key `{}` is missing{}", key, did_you_mean(key, keys)), kObjectHint);
  }
  if (!found->is_string()) {
    throw Refused(fmt::format("`{}` is {} ({}), a string is needed", key, found->type_name(),
                              escaped(to_line(*found), 40)),
                  kObjectHint);
  }
  auto text = found->get<std::string>();
  require_content(text, fmt::format("`{}`", key));
  return text;
}

Json parse_object(std::string_view line) {
  Json object;
  try {
    object = parse_json(line);
  } catch (const std::invalid_argument& error) {
    throw Refused(error.what(), kObjectHint);
  }
  if (object.is_object()) return object;
  throw Refused(fmt::format("the line holds {}, an object is needed", object.type_name()),
                kObjectHint);
}

Record from_json(const Line& line, Need need) {
  Json object = parse_object(line.bytes);
  Record record{line.number, text_member(object, "text"), {}, {}};
  if (need == Need::kTextAndLabel) {
    record.label = text_member(object, "label");
  } else if (const auto id = object.find("id"); id != object.end()) {
    record.id = std::move(*id);
  }
  return record;
}

std::string column_name(std::string_view name, size_t index) {
  return fmt::format("column {} (`{}`)", index + 1, name);
}

// A field that a record needs, checked.
std::string text_field(const Row& row, size_t index, std::string_view name) {
  const std::string what = column_name(name, index);
  require_clean_bytes(row.fields[index], what, index + 1);
  require_content(row.fields[index], what, index + 1);
  return row.fields[index];
}

std::optional<size_t> column_of(const Row& header, std::string_view name) {
  std::optional<size_t> found;
  for (size_t i = 0; i < header.fields.size(); ++i) {
    if (header.fields[i] != name) continue;
    if (found) {
      throw Refused(fmt::format("column `{}` stands twice, as {} and {}", name, *found + 1, i + 1),
                    "name each column once", i + 1);
    }
    found = i;
  }
  return found;
}

std::vector<std::string> names_seen(const Row& header) {
  std::vector<std::string> names;
  for (const std::string& name : header.fields) names.push_back(escaped(name, 40));
  return names;
}

[[noreturn]] void refuse_header(const Row& header, std::string_view missing, Format format) {
  const bool csv = format == Format::kCsv;
  const std::vector<std::string> names = names_seen(header);
  const std::string listed = fmt::format("`{}`", escaped(join(names, "`, `"), 300));
  if (header.fields.size() == 1) {
    throw Refused(fmt::format("column `{}` is missing; only one column is seen, {}: wrong "
                              "delimiter? A {} file's columns are separated by {}",
                              missing, listed, csv ? "CSV" : "TSV", csv ? "commas" : "tabs"),
                  fmt::format("try --format {}, or write the file with {}", csv ? "tsv" : "csv",
                              csv ? "commas" : "tabs"),
                  1);
  }
  throw Refused(fmt::format("column `{}` is missing{}; the columns seen are {}", missing,
                            did_you_mean(missing, names), listed),
                "the first row must be a header that names the columns", header.fields.size() + 1);
}

void require_readable(const Row& row) {
  if (!row.damage.empty()) {
    throw Refused(row.damage,
                  row.damage.ends_with("byte order mark")
                      ? kByteOrderMarkHint
                      : "a field with a quote, a delimiter or a line break in it stands in double "
                        "quotes, and a quote in it is doubled; nothing after this row is read",
                  row.fields.size() + 1);
  }
  if (row.fields.empty()) throw Refused("the row is empty", "remove the empty line", 1);
}

}  // namespace

std::string place(const Refusal& refusal) {
  return refusal.column == 0 ? fmt::format("{}", refusal.line)
                             : fmt::format("{}:{}", refusal.line, refusal.column);
}

RecordReader::RecordReader(Format format, Need need) : format_(format), need_(need) {
  if (has_columns(format)) rows_.emplace(format == Format::kTsv ? '\t' : ',');
}

void RecordReader::feed(std::string_view bytes) { rows_ ? rows_->feed(bytes) : lines_.feed(bytes); }

void RecordReader::finish() { rows_ ? rows_->finish() : lines_.finish(); }

std::optional<Entry> RecordReader::next() {
  if (rows_) return next_of_rows();
  const std::optional<Line> line = lines_.next();
  if (!line) return std::nullopt;
  try {
    return from_line(*line);
  } catch (const Refused& error) {
    return refusal(line->number, error);
  }
}

Entry RecordReader::from_line(const Line& line) {
  const std::string_view bytes = line.bytes;
  const bool marked = bytes.starts_with(kByteOrderMark);
  if (format_ == Format::kAuto) {
    const std::string_view content = marked ? bytes.substr(kByteOrderMark.size()) : bytes;
    format_ = content.starts_with('{') ? Format::kJsonl : Format::kLines;
  }
  if (marked) throw Refused("begins with a byte order mark", kByteOrderMarkHint);
  if (line.too_long) {
    throw Refused(fmt::format("the line is longer than {} MiB", kMaxLine >> 20),
                  "split the text, or remove the line");
  }
  // The JSON parser takes a NUL for the end of its input and would not look at what follows.
  require_clean_bytes(bytes, "the line");
  require_content(bytes, "the line");
  if (format_ == Format::kJsonl) return from_json(line, need_);
  return Record{line.number, line.bytes, {}, {}};
}

std::optional<Entry> RecordReader::next_of_rows() {
  while (!stopped_) {
    const std::optional<Row> row = rows_->next();
    if (!row) return std::nullopt;
    try {
      require_readable(*row);
      if (header_) return from_row(*row);
      header_ = read_header(*row);
    } catch (const Refused& error) {
      Refusal refused = refusal(row->number, error);
      refused.whole_file = !header_;
      stopped_ = !header_ || !row->damage.empty();
      return refused;
    }
  }
  return std::nullopt;
}

RecordReader::Header RecordReader::read_header(const Row& row) const {
  const auto text = column_of(row, "text");
  const auto label = column_of(row, "label");
  if (!text) refuse_header(row, "text", format_);
  if (need_ == Need::kText) return {row.fields.size(), *text, std::nullopt, column_of(row, "id")};
  if (!label) refuse_header(row, "label", format_);
  return {row.fields.size(), *text, label, std::nullopt};
}

Record RecordReader::from_row(const Row& row) const {
  if (row.fields.size() != header_->columns) {
    throw Refused(
        fmt::format("the row has {} columns, the header {}", row.fields.size(), header_->columns),
        "a field with a delimiter in it stands in double quotes",
        std::min(row.fields.size(), header_->columns) + 1);
  }
  Record record{row.number, text_field(row, header_->text, "text"), {}, {}};
  if (header_->label) record.label = text_field(row, *header_->label, "label");
  if (header_->id) {
    require_clean_bytes(row.fields[*header_->id], column_name("id", *header_->id),
                        *header_->id + 1);
    record.id = row.fields[*header_->id];
  }
  return record;
}

}  // namespace moecollab::data
