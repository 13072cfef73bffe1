#include "data/text_source.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "data/byte_source.h"
#include "data/entries.h"
#include "data/records.h"

namespace moecollab::data {
namespace {

[[noreturn]] void refuse(const fs::path& file, std::string_view reason) {
  throw Error("E_DATA", fmt::format("{} cannot be read: {}", shown_source(file), reason));
}

// Standard input has no name that tells its format.
std::optional<Format> format_by_name(const fs::path& file) {
  return is_standard_input(file) ? Format::kAuto : format_of(file);
}

// Without opening it: a named pipe may be opened only once.
void require_readable(const fs::path& file) {
  if (is_standard_input(file)) return;
  if (::access(file.c_str(), R_OK) != 0) refuse(file, std::strerror(errno));
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) refuse(file, "it is a folder");
}

// Milliseconds left until `deadline`, at least 0; -1 if there is none.
int left_until(const std::optional<std::chrono::steady_clock::time_point>& deadline) {
  if (!deadline) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

}  // namespace

BadRecord to_bad_record(const fs::path& file, const Refusal& refusal) {
  return {refusal.line, "E_DATA",
          fmt::format("{}:{}: {}", shown_source(file), place(refusal), refusal.reason)};
}

Json to_json(const BadRecord& bad) {
  return {{"error", {{"line", bad.line}, {"code", bad.code}, {"message", bad.message}}}};
}

// The file that is being read.
struct TextSource::Input {
  Input(const fs::path& path, const Reading& reading)
      : file(path), bytes(path), records(reading, format_by_name(path), Need::kText) {}

  fs::path file;
  ByteSource bytes;
  RecordReader records;
  bool ended = false;
};

TextSource::TextSource(std::vector<fs::path> files, Reading reading, Log log)
    : files_(std::move(files)), reading_(std::move(reading)), log_(log) {
  if (files_.empty()) files_.emplace_back("-");
  for (const fs::path& file : files_) require_readable(file);
  if (std::ranges::count_if(files_, is_standard_input) > 1) {
    throw Error("E_CONFIG", "standard input (`-`) is named twice", "it can be read only once");
  }
}

TextSource::~TextSource() = default;

std::optional<TextItem> TextSource::next() {
  while (!fill()) {
    if (at_end()) return std::nullopt;
    read_some();
  }
  return std::exchange(pending_, std::nullopt);
}

bool TextSource::ready(int timeout_ms) {
  std::optional<std::chrono::steady_clock::time_point> deadline;
  if (timeout_ms >= 0) {
    deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  }
  while (!fill()) {
    if (at_end()) return true;
    if (!input_->bytes.ready(left_until(deadline))) return false;
    read_some();
  }
  return true;
}

bool TextSource::at_end() const { return !input_ && opened_ == files_.size(); }

// Makes the next record of what was read already the pending one, if there is one, going over to
// the next file if one has ended.
bool TextSource::fill() {
  while (!pending_) {
    if (!input_) {
      if (at_end()) return false;
      input_ = std::make_unique<Input>(files_[opened_++], reading_);
    }
    std::optional<Entry> entry = input_->records.next();
    say(input_->records.take_notes());
    if (!entry) {
      if (!input_->ended && !input_->records.stopped()) return false;
      say(input_->records.closing_notes());
      input_.reset();
      continue;
    }
    if (const auto* record = std::get_if<Record>(&*entry)) {
      pending_ = TextRecord{record->line, std::string(record->id), std::string(record->text)};
    } else {
      take_refusal(std::get<Refusal>(*entry));
    }
  }
  return true;
}

// Makes it the pending one; throws it if it is one of the whole file.
void TextSource::take_refusal(const Refusal& refused) {
  if (refused.whole_file) {
    const fs::path file = input_->file;
    input_.reset();
    throw_refusal(file, refused);
  }
  pending_ = to_bad_record(input_->file, refused);
}

void TextSource::read_some() {
  std::string_view bytes;
  try {
    bytes = input_->bytes.read();
  } catch (const Error&) {
    input_.reset();
    throw;
  }
  if (!bytes.empty()) return input_->records.feed(bytes);
  input_->records.finish();
  input_->ended = true;
}

void TextSource::say(const std::vector<std::string>& notes) const {
  for (const std::string& note : notes) {
    log_.note(fmt::format("{}: {}", shown_source(input_->file), note));
  }
}

}  // namespace moecollab::data
