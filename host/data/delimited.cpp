#include "data/delimited.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "data/lines.h"

namespace moecollab::data {
namespace {

constexpr size_t kMaxColumns = 4096;
constexpr uint64_t kWindow = uint64_t{64} << 10;  // bytes that judge the quotes
// Bytes that rows without a closing quote may cost in all before the reader gives up.
constexpr int64_t kMaxScannedAgain = int64_t{1} << 30;

constexpr const char* kQuotedHint =
    "a field with a quote, a delimiter or a line break in it stands in double quotes, and a quote "
    "in it is doubled; if quotes are characters in this file, say --quoting none";

bool is_line_end(char c) { return c == '\n' || c == '\r'; }

// Line ends among the bytes, "\r\n" being one.
int64_t line_ends(std::string_view bytes) {
  int64_t count = 0;
  for (size_t at = find_either(bytes, 0, '\n', '\r'); at != std::string_view::npos;
       at = find_either(bytes, at + 1, '\n', '\r')) {
    if (bytes[at] == '\r' && at + 1 < bytes.size() && bytes[at + 1] == '\n') continue;
    ++count;
  }
  return count;
}

// The byte after the line end that begins at `at`.
size_t after_line_end(std::string_view bytes, size_t at) {
  const bool two = bytes[at] == '\r' && at + 1 < bytes.size() && bytes[at + 1] == '\n';
  return at + (two ? 2 : 1);
}

// Whether the bytes end with the "\r" at `at`, whose "\n" may still come.
bool ends_with_return(std::string_view bytes, size_t at) {
  return bytes[at] == '\r' && at + 1 == bytes.size();
}

// The closing quote of the field whose opening quote stands before `from`; std::string_view::npos
// if there is none.
size_t closing_quote(std::string_view line, size_t from) {
  for (size_t at = line.find('"', from); at != std::string_view::npos;
       at = line.find('"', at + 2)) {
    if (at + 1 >= line.size() || line[at + 1] != '"') return at;
  }
  return std::string_view::npos;
}

// Whether each field of the line that begins with a quote ends with one.
bool bears_out_quotes(std::string_view line, char delimiter) {
  size_t at = 0;
  while (at < line.size()) {
    if (line[at] == '"') {
      const size_t close = closing_quote(line, at + 1);
      if (close == std::string_view::npos) return false;
      at = close + 1;
      if (at < line.size() && line[at] != delimiter) return false;
    } else {
      at = std::min(line.find(delimiter, at), line.size());
    }
    ++at;
  }
  return true;
}

}  // namespace

void RowReader::feed(std::string_view bytes) {
  if (after_return_ && !bytes.empty()) {
    if (bytes.front() == '\n') bytes.remove_prefix(1);
    after_return_ = false;
  }
  buffer_.append(bytes);
}

const Row* RowReader::next() {
  if (row_end_ > 0) restart(row_end_, lines_of_row());
  while (!stopped_) {
    if (skipping_) {
      const std::string_view bytes = buffer_.view();
      const size_t end = find_either(bytes, 0, '\n', '\r');
      if (end == std::string_view::npos) {
        restart(bytes.size(), 0);
        return nullptr;
      }
      after_return_ = ends_with_return(bytes, end);
      restart(after_line_end(bytes, end), 1);
      skipping_ = false;
    }
    row_.damage.clear();
    if (!scan()) return nullptr;
    if (offset_ > kMaxLine) fits();
    if (!row_.damage.empty()) return damaged();
    if (!is_blank(buffer_.view())) return deliver();
    restart(row_end_, 1);
  }
  return nullptr;
}

// Whether a row is complete, or damaged.
bool RowReader::scan() {
  const std::string_view bytes = buffer_.view();
  while (true) {
    const size_t before = offset_;
    const At state = at_;
    switch (at_) {
      case At::kFieldStart:
        if (offset_ == bytes.size()) {
          const bool open = finished_ && !fields_.empty();
          return open && end_field(offset_, std::string_view::npos);
        }
        if (bytes[offset_] == '"' && quotes_ == Quotes::kJudged && !decide(bytes)) return false;
        fields_.push_back({offset_, offset_, false, false});
        if (bytes[offset_] == '"' && (quotes_ == Quotes::kCsv || quotes_ == Quotes::kOneLine)) {
          fields_.back() = {offset_ + 1, offset_ + 1, true, false};
          ++offset_;
          at_ = At::kQuoted;
        } else {
          at_ = At::kPlain;
        }
        break;
      case At::kPlain:
        if (scan_plain(bytes)) return true;
        break;
      case At::kQuoted:
        if (scan_quoted(bytes)) return true;
        break;
      case At::kAfterQuote:
        if (scan_after_quote(bytes)) return true;
        break;
    }
    if (offset_ > kMaxLine && !fits()) return true;
    if (offset_ == before && at_ == state) return false;
  }
}

// Each of these advances within the row; true if that completes or damages it.
bool RowReader::scan_plain(std::string_view bytes) {
  const size_t end = find_either(bytes, offset_, delimiter_, '\n', '\r');
  if (end != std::string_view::npos) return end_field(end, end);
  offset_ = bytes.size();
  return finished_ && end_field(offset_, std::string_view::npos);
}

bool RowReader::scan_quoted(std::string_view bytes) {
  const bool one_line = quotes_ == Quotes::kOneLine;
  const size_t found =
      one_line ? find_either(bytes, offset_, '"', '\n', '\r') : bytes.find('"', offset_);
  if (found == std::string_view::npos || bytes[found] != '"') {
    const bool ends = found != std::string_view::npos || finished_;
    offset_ = found == std::string_view::npos ? bytes.size() : found;
    if (!ends) return false;
    if (one_line) {
      damage("the field begins with a double quote and does not end with one, unlike those before",
             "say --quoting none if quotes are characters in this file, or --quoting csv if a "
             "quoted field may hold line breaks");
    } else {
      damage("the file ends inside a quoted field", kQuotedHint);
    }
    return true;
  }
  fields_.back().end = found;
  offset_ = found + 1;
  at_ = At::kAfterQuote;
  return false;
}

bool RowReader::scan_after_quote(std::string_view bytes) {
  if (offset_ == bytes.size())
    return finished_ && end_field(fields_.back().end, std::string_view::npos);
  const char c = bytes[offset_];
  if (c == '"') {
    fields_.back().doubled = true;
    ++offset_;
    at_ = At::kQuoted;
    return false;
  }
  if (c == delimiter_ || is_line_end(c)) return end_field(fields_.back().end, offset_);
  damage(quotes_ == Quotes::kOneLine
             ? "text stands after a closing double quote, unlike in the lines before"
             : "text stands after a closing double quote",
         kQuotedHint);
  return true;
}

// The field ends before `end`; the delimiter or line end at `terminator` (std::string_view::npos:
// the end of the file) is passed. True if the row ends too.
bool RowReader::end_field(size_t end, size_t terminator) {
  const std::string_view bytes = buffer_.view();
  if (at_ == At::kFieldStart) fields_.push_back({offset_, offset_, false, false});
  fields_.back().end = end;
  at_ = At::kFieldStart;
  if (fields_.size() > kMaxColumns) {
    damage(fmt::format("the row has more than {} columns", kMaxColumns),
           "is this a table of texts?");
    return true;
  }
  if (terminator == std::string_view::npos) {
    offset_ = row_end_ = bytes.size();
    return true;
  }
  if (bytes[terminator] == delimiter_) {
    offset_ = terminator + 1;
    return false;
  }
  offset_ = row_end_ = after_line_end(bytes, terminator);
  after_return_ = ends_with_return(bytes, terminator);
  return true;
}

// Makes kJudged one of the others. False if more bytes are needed for that.
bool RowReader::decide(std::string_view bytes) {
  const uint64_t seen = dropped_ + bytes.size();
  if (seen < kWindow && !finished_) return false;
  const uint64_t left = kWindow > dropped_ ? kWindow - dropped_ : 0;
  std::string_view window = bytes.substr(0, std::min<uint64_t>(left, bytes.size()));
  quotes_ = Quotes::kNone;
  if (offset_ >= window.size()) return true;  // nothing is borne out: quotes are characters
  const bool whole = finished_ && window.size() == bytes.size();
  int64_t line = line_;
  size_t at = offset_;
  bool any = false;
  while (at < window.size()) {
    const size_t end = find_either(window, at, '\n', '\r');
    if (end == std::string_view::npos && !whole) break;  // a line that is cut off says nothing
    if (!bears_out_quotes(
            window.substr(at, end == std::string_view::npos ? std::string_view::npos : end - at),
            delimiter_)) {
      unquoted_line_ = line;
      return true;
    }
    any = true;
    if (end == std::string_view::npos) break;
    at = after_line_end(window, end);
    ++line;
  }
  if (any) quotes_ = Quotes::kOneLine;
  return true;
}

bool RowReader::is_blank(std::string_view bytes) const {
  return fields_.size() == 1 && !fields_[0].quoted &&
         bytes.substr(fields_[0].begin, fields_[0].end - fields_[0].begin)
                 .find_first_not_of(" \t") == std::string_view::npos;
}

const Row* RowReader::deliver() {
  row_.line = line_;
  row_.fields.clear();
  for (const Field& field : fields_) row_.fields.push_back(unescape(field));
  return &row_;
}

// The field's text; halves doubled quotes in the buffer.
std::string_view RowReader::unescape(const Field& field) {
  char* const begin = buffer_.data() + field.begin;
  const size_t size = field.end - field.begin;
  if (!field.doubled) return {begin, size};
  char* out = begin;
  for (const char* in = begin; in != begin + size; ++in) {
    *out++ = *in;
    if (*in == '"') ++in;
  }
  return {begin, static_cast<size_t>(out - begin)};
}

// Reports the row; its first line is all that it costs.
const Row* RowReader::damaged() {
  const std::string_view bytes = buffer_.view();
  row_.line = line_;
  row_.damaged_column = std::max<size_t>(1, fields_.size());
  row_.fields.clear();
  fields_.clear();
  const size_t end = find_either(bytes, 0, '\n', '\r');
  skipping_ = end == std::string_view::npos;
  row_end_ = skipping_ ? bytes.size() : after_line_end(bytes, end);
  if (skipping_) return &row_;
  after_return_ = ends_with_return(bytes, end);
  scanned_again_ += static_cast<int64_t>(offset_ - std::min(offset_, row_end_));
  if (scanned_again_ > kMaxScannedAgain) {
    row_.damage += "; too many rows are like this: nothing after this line is read";
    stopped_ = true;
  }
  return &row_;
}

// The lines that the row spans; a damaged one counts as its first.
int64_t RowReader::lines_of_row() const {
  if (skipping_) return 0;
  const bool quoted = std::ranges::any_of(fields_, &Field::quoted);
  return quoted ? line_ends(buffer_.view().substr(0, row_end_)) : 1;
}

// Begins the next row after `consumed` bytes, in which `lines` ended.
void RowReader::restart(size_t consumed, int64_t lines) {
  buffer_.drop(consumed);
  dropped_ += consumed;
  line_ += lines;
  fields_.clear();
  at_ = At::kFieldStart;
  offset_ = row_end_ = 0;
}

// False, and a damage, if the row is too long as far as it is known.
bool RowReader::fits() {
  const size_t size =
      row_end_ == 0 ? offset_ : fields_.back().end + (fields_.back().quoted ? 1 : 0);
  if (size <= kMaxLine || !row_.damage.empty()) return row_.damage.empty();
  damage(fmt::format("the row is longer than {} MiB", kMaxLine >> 20),
         at_ == At::kQuoted ? kQuotedHint : "split the text, or remove the row");
  return false;
}

void RowReader::damage(std::string reason, std::string hint) {
  row_.damage = std::move(reason);
  row_.hint = std::move(hint);
}

}  // namespace moecollab::data
