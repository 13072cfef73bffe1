// What encoding a file's bytes are in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moecollab::data {

// Bytes of any size in, UTF-8 out. A byte order mark is dropped. UTF-16 is converted: by its mark,
// or, without one, if the first two characters are ASCII; half a surrogate pair becomes U+FFFD.
// Other bytes are passed on as they are: whether they are UTF-8 is for the reader of records to
// say. Not thread-safe.
class TextDecoder {
 public:
  // What these bytes make of the text; valid until the next call. Nothing comes before the first
  // four bytes (or the first byte that cannot belong to a mark) are there. Throws
  // std::invalid_argument for UTF-32.
  std::string_view feed(std::string_view bytes);
  std::string_view finish();
  // "UTF-16" if the bytes are converted, else empty.
  std::string_view converted_from() const { return utf16_ ? "UTF-16" : ""; }
  int64_t replaced() const { return replaced_; }

 private:
  enum class Encoding { kUnknown, kUtf8, kUtf16Little, kUtf16Big };

  bool recognise(bool finished);
  std::string_view convert(std::string_view bytes);
  void put(char32_t code_point);

  Encoding encoding_ = Encoding::kUnknown;
  std::string head_;  // until the encoding is known; then the odd byte of UTF-16
  std::string out_;
  uint32_t high_ = 0;  // a high surrogate whose other half is awaited
  int64_t replaced_ = 0;
  bool utf16_ = false;
};

}  // namespace moecollab::data
