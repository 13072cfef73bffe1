#include "data/records.h"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace moecollab::data {

RecordReader::RecordReader(const Reading& reading, std::optional<Format> named, Need need)
    : reading_(reading), named_(named), need_(need), format_(reading.format) {
  if (format_ != Format::kAuto) open(format_, /*may_be_json=*/false);
}

RecordReader::~RecordReader() = default;

void RecordReader::open(Format format, bool may_be_json) {
  format_ = format;
  source_ = make_record_source(format, reading_, may_be_json, need_);
}

void RecordReader::feed(std::string_view bytes) {
  if (stopped_ || bytes.empty()) return;
  try {
    feed_decoded(decoder_.feed(bytes));
  } catch (const std::invalid_argument& error) {
    refused_ = Refusal{1, 0, error.what(), "save the file as UTF-8", true, false};
  }
}

void RecordReader::finish() {
  if (stopped_ || finished_) return;
  finished_ = true;
  if (refused_) return;  // next() says it
  feed_decoded(decoder_.finish());
  if (source_) source_->finish();
  if (!decoder_.converted_from().empty())
    notes_.push_back(fmt::format("read as {}", decoder_.converted_from()));
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
  note_half_pairs(notes, decoder_.replaced());
  return notes;
}

LabelCounts RecordReader::label_counts() const {
  return source_ ? source_->label_counts() : LabelCounts{};
}

}  // namespace moecollab::data
