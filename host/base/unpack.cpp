#include "base/unpack.h"

#include <archive.h>
#include <archive_entry.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace moecollab {

bool is_packed(std::string_view head) {
  return head.starts_with("\x1F\x8B") || head.starts_with("\x28\xB5");
}

struct Unpacker::Stream {
  struct Free {
    void operator()(archive* a) const { ::archive_read_free(a); }
  };

  // What the C library calls: an exception must not travel through its frames.
  static la_ssize_t read_packed(archive* a, void* self, const void** bytes) {
    auto& stream = *static_cast<Stream*>(self);
    try {
      const std::string_view packed = stream.read();
      *bytes = packed.data();
      return static_cast<la_ssize_t>(packed.size());
    } catch (...) {
      stream.failure = std::current_exception();
      ::archive_set_error(a, ARCHIVE_FATAL, "reading failed");
      return -1;
    }
  }

  // Throws unless `status` is a success.
  void require(int status) {
    if (status >= ARCHIVE_WARN) return;
    if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
    const char* text = ::archive_error_string(in.get());
    throw std::invalid_argument(text == nullptr ? "the packed stream is damaged" : text);
  }

  std::function<std::string_view()> read;
  std::unique_ptr<archive, Free> in{::archive_read_new()};
  std::exception_ptr failure;
  bool opened = false;
};

Unpacker::Unpacker(std::function<std::string_view()> read) : stream_(std::make_unique<Stream>()) {
  if (!stream_->in) throw std::bad_alloc();
  stream_->read = std::move(read);
}

Unpacker::~Unpacker() = default;

std::string_view Unpacker::next() {
  archive* const in = stream_->in.get();
  if (!stream_->opened) {
    stream_->opened = true;
    ::archive_read_support_filter_gzip(in);
    ::archive_read_support_filter_zstd(in);
    ::archive_read_support_format_raw(in);
    ::archive_read_support_format_empty(in);
    stream_->require(
        ::archive_read_open(in, stream_.get(), nullptr, &Stream::read_packed, nullptr));
    archive_entry* entry = nullptr;
    const int status = ::archive_read_next_header(in, &entry);
    if (status == ARCHIVE_EOF) return {};
    stream_->require(status);
  }
  const void* bytes = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  const int status = ::archive_read_data_block(in, &bytes, &size, &offset);
  if (status == ARCHIVE_EOF) return {};
  stream_->require(status);
  return {static_cast<const char*>(bytes), size};
}

}  // namespace moecollab
