#include "data/delimited.h"

#include <csv.h>
#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "data/lines.h"

namespace moecollab::data {
namespace {

constexpr size_t kMaxColumns = 4096;
// The library grows its buffer by this much; ours looks at the buffer's size as often.
constexpr size_t kPiece = size_t{64} << 10;

// Only "\n" ends a row; the "\r" before it is trimmed from the last field as white space is by
// default. Blanks are not trimmed: they belong to the text.
int is_row_end(unsigned char c) { return c == CSV_LF; }
int is_trimmed(unsigned char c) { return c == CSV_CR; }

std::string too_long() { return fmt::format("the row is longer than {} MiB", kMaxLine >> 20); }

}  // namespace

// What the C library calls: an exception must not travel through its frames.
struct RowReader::Callbacks {
  template <typename Action>
  static void guarded(void* self, Action&& action) {
    auto& reader = *static_cast<RowReader*>(self);
    if (reader.damaged_ || reader.failure_) return;
    try {
      action(reader);
    } catch (...) {
      reader.failure_ = std::current_exception();
    }
  }
  static void field(void* bytes, size_t size, void* self) {
    guarded(self, [&](RowReader& reader) {
      reader.add_field({static_cast<const char*>(bytes), size});
    });
  }
  static void row(int, void* self) {
    guarded(self, [](RowReader& reader) { reader.end_row(); });
  }
};

RowReader::RowReader(char delimiter) : parser_(std::make_unique<csv_parser>()) {
  // REPALL_NL reports empty lines too, which would otherwise shift the row numbers.
  csv_init(parser_.get(), CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL);
  csv_set_delim(parser_.get(), static_cast<unsigned char>(delimiter));
  csv_set_term_func(parser_.get(), is_row_end);
  csv_set_space_func(parser_.get(), is_trimmed);
  csv_set_blk_size(parser_.get(), kPiece);
}

RowReader::~RowReader() { csv_free(parser_.get()); }

void RowReader::feed(std::string_view bytes) {
  if (head_.size() < kByteOrderMark.size()) {
    head_ += bytes.substr(0, kByteOrderMark.size() - head_.size());
    if (head_ == kByteOrderMark) damage("begins with a byte order mark");
  }
  while (!bytes.empty() && !damaged_) {
    const std::string_view piece = bytes.substr(0, kPiece);
    parse(piece);
    bytes.remove_prefix(piece.size());
  }
}

void RowReader::parse(std::string_view piece) {
  const size_t used =
      csv_parse(parser_.get(), piece.data(), piece.size(), Callbacks::field, Callbacks::row, this);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  if (damaged_) return;
  if (used != piece.size()) {
    if (csv_error(parser_.get()) != CSV_EPARSE) throw std::bad_alloc();
    damage("a double quote stands inside a field, or text after a closing quote");
  } else if (csv_get_buffer_size(parser_.get()) > kMaxLine + 2 * kPiece) {
    damage(too_long());
  }
}

void RowReader::finish() {
  if (damaged_) return;
  const int status = csv_fini(parser_.get(), Callbacks::field, Callbacks::row, this);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  if (status != 0) damage("the file ends inside a quoted field");
}

std::optional<Row> RowReader::next() {
  if (ready_.empty()) return std::nullopt;
  Row row = std::move(ready_.front());
  ready_.pop_front();
  return row;
}

void RowReader::add_field(std::string_view field) {
  row_bytes_ += field.size() + 1;
  if (row_bytes_ > kMaxLine + 1) return damage(too_long());
  if (row_.fields.size() == kMaxColumns) {
    return damage(fmt::format("the row has more than {} columns", kMaxColumns));
  }
  row_.fields.emplace_back(field);
}

void RowReader::end_row() {
  const int64_t number = row_.number;
  ready_.push_back(std::exchange(row_, {}));
  row_.number = number + 1;
  row_bytes_ = 0;
}

void RowReader::damage(std::string reason) {
  row_.damage = std::move(reason);
  end_row();
  damaged_ = true;
}

}  // namespace moecollab::data
