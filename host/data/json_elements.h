// A JSON array, or JSON values one after the other, cut into its elements as it arrives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/input_buffer.h"

namespace moecollab::data {

struct JsonElement {
  int64_t line = 1;        // of the file, from 1: where it begins
  std::string_view bytes;  // valid until the splitter is used again
  std::string damage;      // why it cannot be told apart from what follows, else empty
};

// Elements of the one array, or of a sequence of objects that may span lines. Holds one element at
// a time, of at most kMaxLine bytes; does not look at what is inside but for strings and brackets.
// After a damage nothing more comes. Not thread-safe.
class JsonElements {
 public:
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  void finish() { finished_ = true; }
  std::optional<JsonElement> next();

 private:
  enum class Where { kBefore, kArrayBegun, kAfterElement, kAfterComma, kAfterArray };

  bool skip_between();
  bool find_end();
  JsonElement damaged(std::string reason);
  void drop(size_t count);

  InputBuffer buffer_;
  size_t offset_ = 0;   // scanned up to here
  size_t pending_ = 0;  // bytes of the element that was given out
  int64_t line_ = 1;    // of the buffer's first byte
  int depth_ = 0;
  Where where_ = Where::kBefore;
  bool in_string_ = false, in_element_ = false, array_ = false;
  bool finished_ = false, stopped_ = false, after_return_ = false;
  std::string problem_;
};

}  // namespace moecollab::data
