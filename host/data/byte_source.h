// The bytes of a file or of standard input, unpacked.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/unpack.h"

namespace moecollab::data {

// How messages name a source: the path, or "stdin" for "-".
std::string shown_source(const fs::path& file);
bool is_standard_input(const fs::path& file);

// Not thread-safe.
class ByteSource {
 public:
  // Opens the file; "-" is standard input. Throws E_DATA naming the source and the reason.
  explicit ByteSource(const fs::path& file);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  // What a pipe holds, or the next piece of a file, waiting only while there is nothing; unpacked
  // if it is packed (then a piece of the packed stream may be waited for). Empty at the end. Valid
  // until the next call. Throws E_DATA.
  std::string_view read();
  // Whether read() would not wait; waits up to `timeout_ms` (negative: without end) for that.
  // False as soon as a signal is caught.
  bool ready(int timeout_ms);

  // Called with the bytes as they lie in the file.
  void on_stored_bytes(std::function<void(std::string_view)> use) { stored_ = std::move(use); }
  // Whether the bytes are unpacked; known after the first read().
  bool packed() const { return unpacker_.has_value(); }

 private:
  std::string_view read_stored();
  std::string_view begin();
  [[noreturn]] void fail(std::string_view reason);

  fs::path file_;
  int fd_ = -1;
  std::unique_ptr<char[]> block_;
  std::string head_;  // read to see whether the file is packed
  std::optional<Unpacker> unpacker_;
  std::function<void(std::string_view)> stored_;
  bool begun_ = false;
  bool writer_awaited_ = false;  // it is a named pipe of which nothing was read yet
};

}  // namespace moecollab::data
