#include "data/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/json.h"
#include "base/strings.h"
#include "data/clean_text.h"
#include "data/delimited.h"
#include "data/json_elements.h"
#include "data/json_record.h"
#include "data/lines.h"
#include "data/table_record.h"
#include "data/text_decoder.h"

namespace moecollab::data {
namespace {

Refusal to_refusal(int64_t line, const Refused& error) {
  return {line,
          static_cast<int64_t>(error.column),
          error.what(),
          error.hint,
          dynamic_cast<const RefusedFile*>(&error) != nullptr,
          dynamic_cast<const RefusedEmpty*>(&error) != nullptr};
}

bool is_quoted(std::string_view field) {
  return field.size() > 1 && field.starts_with('"') && field.ends_with('"');
}

bool begins_like_json(std::string_view text) {
  return text.starts_with('{') || text.starts_with('[');
}

Quotes quotes_of(Format format, Quoting quoting) {
  if (quoting == Quoting::kNone) return Quotes::kNone;
  if (quoting == Quoting::kCsv || format == Format::kCsv) return Quotes::kCsv;
  return Quotes::kJudged;
}

void add_count(std::vector<std::string>& notes, int64_t count, std::string_view one,
               std::string_view many) {
  if (count > 0)
    notes.push_back(count == 1 ? std::string(one) : fmt::format(fmt::runtime(many), count));
}

}  // namespace

std::string place(const Refusal& refusal) {
  return refusal.column == 0 ? fmt::format("{}", refusal.line)
                             : fmt::format("{}:{}", refusal.line, refusal.column);
}

std::string with_file(std::string hint, std::string_view file) {
  constexpr std::string_view kPlaceholder = "FILE";
  for (size_t at = hint.find(kPlaceholder); at != hint.npos;
       at = hint.find(kPlaceholder, at + file.size())) {
    hint.replace(at, kPlaceholder.size(), file);
  }
  return hint;
}

// One of the formats: text in, entries out.
class RecordReader::Source {
 public:
  virtual ~Source() = default;
  virtual void feed(std::string_view text) = 0;
  virtual void finish() = 0;
  virtual std::optional<Entry> next() = 0;
  virtual bool stopped() const { return false; }
  virtual void add_notes(std::vector<std::string>&) {}
  virtual void add_closing_notes(std::vector<std::string>&) const {}
  virtual LabelCounts label_counts() const { return {}; }
};

struct RecordReader::Decoder {
  TextDecoder text;
};

// JSON Lines, and plain lines.
class RecordReader::Lines : public Source {
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
    add_count(notes, objects_.replaced(), "half a surrogate pair was read as U+FFFD",
              "{} halves of surrogate pairs were read as U+FFFD");
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
class RecordReader::Elements : public Source {
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
    add_count(notes, objects_.replaced(), "half a surrogate pair was read as U+FFFD",
              "{} halves of surrogate pairs were read as U+FFFD");
  }
  LabelCounts label_counts() const override { return objects_.label_counts(); }

 private:
  JsonElements elements_;
  JsonRecords objects_;
  bool stopped_ = false;
};

class RecordReader::Table : public Source {
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
        if (stopped_ && rows_.quotes() == Quotes::kNone &&
            std::ranges::any_of(row->fields, is_quoted))
          refusal.hint = "its names stand in double quotes: say --quoting csv if fields are quoted";
        return refusal;
      }
    }
    return std::nullopt;
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

RecordReader::RecordReader(const Reading& reading, std::optional<Format> named, Need need)
    : reading_(reading),
      named_(named),
      need_(need),
      format_(reading.format),
      decoder_(std::make_unique<Decoder>()) {
  if (format_ != Format::kAuto) open(format_, /*may_be_json=*/false);
}

RecordReader::~RecordReader() = default;

void RecordReader::open(Format format, bool may_be_json) {
  format_ = format;
  if (has_columns(format)) {
    source_ = std::make_unique<Table>(format, reading_.quoting, reading_.columns, need_);
  } else if (format == Format::kJson) {
    source_ = std::make_unique<Elements>(reading_.columns, need_);
  } else {
    source_ = std::make_unique<Lines>(format, may_be_json, reading_.columns, need_);
  }
}

void RecordReader::feed(std::string_view bytes) {
  if (stopped_ || bytes.empty()) return;
  try {
    feed_decoded(decoder_->text.feed(bytes));
  } catch (const std::invalid_argument& error) {
    refused_ = Refusal{1, 0, error.what(), "save the file as UTF-8", true, false};
  }
}

void RecordReader::finish() {
  if (stopped_ || finished_) return;
  finished_ = true;
  feed_decoded(decoder_->text.finish());
  if (source_) source_->finish();
  if (!decoder_->text.converted_from().empty())
    notes_.push_back(fmt::format("read as {}", decoder_->text.converted_from()));
}

void RecordReader::feed_decoded(std::string_view text) {
  constexpr size_t kMagic = 16;
  if (source_ && foreign_checked_) return source_->feed(text);
  head_ += text;
  try {
    if (!foreign_checked_ &&
        (head_.size() >= kMagic || finished_ || head_.find('\n') != head_.npos)) {
      refuse_foreign_format(head_);
      foreign_checked_ = true;
    }
    if (foreign_checked_ && recognise()) {
      source_->feed(std::exchange(head_, {}));
      if (finished_) source_->finish();
    }
  } catch (const Refused& error) {
    refused_ = to_refusal(1, error);
    refused_->whole_file = true;
  }
}

// Whether the format is known, if need be by the first bytes.
bool RecordReader::recognise() {
  if (source_) return true;
  const auto judged = judge_format(head_, finished_, named_, reading_.columns);
  if (!judged) return false;
  if (!judged->note.empty()) notes_.push_back(judged->note);
  open(judged->format, judged->may_be_json);
  return true;
}

std::optional<Entry> RecordReader::next() {
  if (refused_) {
    stopped_ = true;
    return *std::exchange(refused_, std::nullopt);
  }
  if (stopped_ || !source_) return std::nullopt;
  std::optional<Entry> entry = source_->next();
  source_->add_notes(notes_);
  stopped_ = source_->stopped();
  if (entry && std::holds_alternative<Refusal>(*entry))
    stopped_ |= std::get<Refusal>(*entry).whole_file;
  return entry;
}

std::vector<std::string> RecordReader::take_notes() { return std::exchange(notes_, {}); }

std::vector<std::string> RecordReader::closing_notes() const {
  std::vector<std::string> notes;
  if (source_) source_->add_closing_notes(notes);
  add_count(notes, decoder_->text.replaced(), "half a surrogate pair was read as U+FFFD",
            "{} halves of surrogate pairs were read as U+FFFD");
  return notes;
}

LabelCounts RecordReader::label_counts() const {
  return source_ ? source_->label_counts() : LabelCounts{};
}

}  // namespace moecollab::data
