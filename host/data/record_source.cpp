#include "data/record_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/json.h"
#include "data/clean_text.h"
#include "data/delimited.h"
#include "data/json_elements.h"
#include "data/json_record.h"
#include "data/lines.h"
#include "data/table_record.h"

namespace moecollab::data {
namespace {

// Adds `one`, or `many` with the count, if the count is not 0.
void add_count(std::vector<std::string>& notes, int64_t count, std::string_view one,
               std::string_view many) {
  if (count > 0)
    notes.push_back(count == 1 ? std::string(one) : fmt::format(fmt::runtime(many), count));
}

bool begins_with_quote(std::string_view field) { return field.starts_with('"'); }

bool begins_like_json(std::string_view text) {
  return text.starts_with('{') || text.starts_with('[');
}

Quotes quotes_of(Format format, Quoting quoting) {
  if (quoting == Quoting::kNone) return Quotes::kNone;
  if (quoting == Quoting::kCsv || format == Format::kCsv) return Quotes::kCsv;
  return Quotes::kJudged;
}

// JSON Lines, and plain lines.
class Lines : public RecordSource {
 public:
  Lines(Format format, bool may_be_json, const Columns& columns, Need need)
      : json_(format == Format::kJsonl), may_be_json_(may_be_json), objects_(columns, need) {}

  void feed(std::string_view text) override { lines_.feed(text); }
  void finish() override { lines_.finish(); }
  std::optional<Entry> next() override {
    while (const std::optional<Line> line = lines_.next()) {
      try {
        if (json_ && !line->too_long && line->bytes.find_first_not_of(" \t") == line->bytes.npos)
          continue;
        return read(*line);
      } catch (const Refused& error) {
        return to_refusal(line->number, error);
      }
    }
    return std::nullopt;
  }
  void add_closing_notes(std::vector<std::string>& notes) const override {
    note_half_pairs(notes, objects_.replaced());
  }
  LabelCounts label_counts() const override { return objects_.label_counts(); }

 private:
  Record read(const Line& line) {
    if (line.too_long) {
      throw Refused(fmt::format("the line is longer than {} MiB", kMaxLine >> 20),
                    "split the text, or remove the line");
    }
    if (json_) return objects_.read(line.bytes, line.number);
    require_clean_bytes(line.bytes, "the line");
    require_content(line.bytes, "the line");
    if (may_be_json_) require_text(line.bytes);
    Record record;
    record.line = line.number;
    record.text = line.bytes;
    return record;
  }

  // Nobody asked for plain lines: one that is JSON is not answered as if it were prose.
  static void require_text(std::string_view line) {
    line = stripped(line);
    if (!begins_like_json(line)) return;
    Json value;
    try {
      value = parse_json(line);
    } catch (const std::invalid_argument&) {
      return;
    }
    if (!value.is_object() && (value.empty() || !value.front().is_structured())) return;
    throw Refused("the line is JSON, and the file was taken for plain lines",
                  "say --format jsonl or --format lines");
  }

  bool json_, may_be_json_;
  LineSplitter lines_;
  JsonRecords objects_;
};

// A JSON array, or objects that span lines.
class Elements : public RecordSource {
 public:
  Elements(const Columns& columns, Need need) : objects_(columns, need) {}

  void feed(std::string_view text) override { elements_.feed(text); }
  void finish() override { elements_.finish(); }
  bool stopped() const override { return stopped_; }
  std::optional<Entry> next() override {
    const std::optional<JsonElement> element = elements_.next();
    if (!element) return std::nullopt;
    try {
      if (!element->damage.empty()) {
        stopped_ = true;
        throw Refused(element->damage + "; nothing after it is read",
                      "python3 -m json.tool FILE shows where the JSON is wrong");
      }
      return objects_.read(element->bytes, element->line);
    } catch (const Refused& error) {
      return to_refusal(element->line, error);
    }
  }
  void add_closing_notes(std::vector<std::string>& notes) const override {
    note_half_pairs(notes, objects_.replaced());
  }
  LabelCounts label_counts() const override { return objects_.label_counts(); }

 private:
  JsonElements elements_;
  JsonRecords objects_;
  bool stopped_ = false;
};

class Table : public RecordSource {
 public:
  Table(Format format, Quoting quoting, const Columns& columns, Need need)
      : rows_(format == Format::kTsv ? '\t' : ',', quotes_of(format, quoting)),
        judged_(rows_.quotes() == Quotes::kJudged),
        records_(columns, need),
        header_read_(!columns.names.empty()) {}

  void feed(std::string_view text) override { rows_.feed(text); }
  void finish() override { rows_.finish(); }
  bool stopped() const override { return stopped_; }
  std::optional<Entry> next() override {
    while (!stopped_) {
      const Row* row = rows_.next();
      if (row == nullptr) return std::nullopt;
      try {
        const std::optional<Record> record = records_.read(*row);
        header_read_ = true;
        if (record) return *record;
      } catch (const Refused& error) {
        Refusal refusal = to_refusal(row->line, error);
        refusal.whole_file = stopped_ = !header_read_;
        if (rows_.quotes() == Quotes::kNone && std::ranges::any_of(row->fields, begins_with_quote))
          refusal.hint = "fields begin with a double quote: if that quotes them, say --quoting csv";
        return refusal;
      }
    }
    return std::nullopt;
  }
  void add_closing_notes(std::vector<std::string>& notes) const override {
    add_count(notes, records_.padding(), "a row without anything is passed over",
              "{} rows without anything are passed over");
  }
  void add_notes(std::vector<std::string>& notes) override {
    if (!judged_ || rows_.quotes() == Quotes::kJudged) return;
    judged_ = false;
    if (rows_.quotes() == Quotes::kOneLine) {
      notes.emplace_back("quoting csv: the fields that begin with a double quote end with one");
    } else if (rows_.unquoted_line() > 0) {
      notes.push_back(
          fmt::format("quoting none: double quotes are characters (line {} has a field "
                      "that begins with one and does not end with one)",
                      rows_.unquoted_line()));
    } else {
      notes.emplace_back("quoting none: double quotes are characters");
    }
  }
  LabelCounts label_counts() const override { return records_.label_counts(); }

 private:
  RowReader rows_;
  bool judged_;  // how quotes are read is still to be said
  TableRecords records_;
  bool header_read_, stopped_ = false;
};

}  // namespace

std::unique_ptr<RecordSource> make_record_source(Format format, const Reading& reading,
                                                 bool may_be_json, Need need) {
  if (has_columns(format))
    return std::make_unique<Table>(format, reading.quoting, reading.columns, need);
  if (format == Format::kJson) return std::make_unique<Elements>(reading.columns, need);
  return std::make_unique<Lines>(format, may_be_json, reading.columns, need);
}

void note_half_pairs(std::vector<std::string>& notes, int64_t count) {
  add_count(notes, count, "half a surrogate pair was read as U+FFFD",
            "{} halves of surrogate pairs were read as U+FFFD");
}

}  // namespace moecollab::data
