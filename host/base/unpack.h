// Bytes packed with gzip or zstd.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

namespace moecollab {

// Whether a file that begins with these bytes is packed so; two bytes are enough.
bool is_packed(std::string_view head);

// Unpacks a stream as it is read: gzip (also several members one after the other) or zstd. Holds a
// block at a time. Not thread-safe.
class Unpacker {
 public:
  // `read` gives the next packed bytes, valid until it is called again; none at the end. It may
  // throw.
  explicit Unpacker(std::function<std::string_view()> read);
  ~Unpacker();
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  // The next bytes, valid until the next call; none at the end. Throws std::invalid_argument if the
  // stream is damaged or cut off, and what `read` throws.
  std::string_view next();

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace moecollab
