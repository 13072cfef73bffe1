// Bytes that arrive in pieces and are taken from the front.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace moecollab::data {

// A queue of bytes in one block, followed by kPadding readable bytes, as parsers that read whole
// vector registers want them. Not thread-safe.
class InputBuffer {
 public:
  static constexpr size_t kPadding = 64;

  // Whatever was taken before may be overwritten; what data() gave is no longer valid.
  void append(std::string_view bytes);
  // Drops the first `count` bytes; the others stay where they are.
  void drop(size_t count) { begin_ += count; }
  void clear() { begin_ = end_ = 0; }

  char* data() { return block_.get() + begin_; }
  std::string_view view() const { return {block_.get() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }

 private:
  std::unique_ptr<char[]> block_;
  size_t capacity_ = 0;  // without the padding
  size_t begin_ = 0, end_ = 0;
};

// The first of the two or three characters in `bytes` from `from` on; npos if there is none.
size_t find_either(std::string_view bytes, size_t from, char a, char b);
size_t find_either(std::string_view bytes, size_t from, char a, char b, char c);

}  // namespace moecollab::data
