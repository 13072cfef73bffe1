#include "data/lines.h"

#include <utility>

namespace moecollab::data {
namespace {

// Enough of a line that is too long to tell JSON from text.
constexpr size_t kKeptOfTooLong = 16;

}  // namespace

void LineSplitter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    append(bytes.substr(0, end));
    if (end == std::string_view::npos) return;
    end_line();
    bytes.remove_prefix(end + 1);
  }
}

void LineSplitter::finish() {
  if (!current_.empty()) emit(current_.size() > kMaxLine);
}

std::optional<Line> LineSplitter::next() {
  if (ready_.empty()) return std::nullopt;
  Line line = std::move(ready_.front());
  ready_.pop_front();
  return line;
}

void LineSplitter::append(std::string_view part) {
  if (skipping_) return;
  // One byte above the limit may be the "\r" of the line end.
  const size_t room = kMaxLine + 1 - current_.size();
  current_ += part.substr(0, room);
  if (part.size() > room) {
    emit(true);
    skipping_ = true;
  }
}

void LineSplitter::end_line() {
  if (!skipping_) {
    if (current_.ends_with('\r')) current_.pop_back();
    emit(current_.size() > kMaxLine);
  }
  skipping_ = false;
  ++number_;
}

void LineSplitter::emit(bool too_long) {
  if (too_long) current_.resize(kKeptOfTooLong);
  ready_.push_back({number_, std::exchange(current_, {}), too_long});
}

}  // namespace moecollab::data
