#include "base/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

constexpr mode_t kMode = 0644;

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw Error("E_PLUG_ARCHIVE", fmt::format("{}: {}", file, what),
              "get it again, or make it with `moecollab pack`");
}

struct FreeArchive {
  void operator()(archive* a) const { ::archive_free(a); }  // of either direction
};
using Archive = std::unique_ptr<archive, FreeArchive>;
struct FreeEntry {
  void operator()(archive_entry* e) const { ::archive_entry_free(e); }
};

void require(int status, archive* a, const char* step) {
  if (status == ARCHIVE_OK) return;
  const char* text = ::archive_error_string(a);
  throw Error("E_INTERNAL", fmt::format("libarchive: {}: {}", step, text == nullptr ? "?" : text));
}

// Relative, and inside the package once extracted.
bool is_safe_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.size() > 100) return false;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return true;
}

la_ssize_t append(archive*, void* to, const void* bytes, size_t size) {
  static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

}  // namespace

std::string to_archive(const std::map<std::string, std::string>& files) {
  std::string bytes;
  const Archive out(::archive_write_new());
  require(::archive_write_set_format_ustar(out.get()), out.get(), "format");
  require(::archive_write_add_filter_none(out.get()), out.get(), "filter");
  require(::archive_write_set_bytes_in_last_block(out.get(), 1), out.get(), "block");
  require(::archive_write_open(out.get(), &bytes, nullptr, &append, nullptr), out.get(), "open");
  for (const auto& [path, content] : files) {
    if (!is_safe_path(path)) {
      throw Error("E_PLUG_PATH",
                  fmt::format("{} cannot be packed: a path is relative and of at most 100 bytes",
                              escaped(path, 120)));
    }
    const std::unique_ptr<archive_entry, FreeEntry> entry(::archive_entry_new());
    ::archive_entry_set_pathname(entry.get(), path.c_str());
    ::archive_entry_set_filetype(entry.get(), AE_IFREG);
    ::archive_entry_set_perm(entry.get(), kMode);
    ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    ::archive_entry_set_mtime(entry.get(), 0, 0);
    require(::archive_write_header(out.get(), entry.get()), out.get(), "header");
    if (::archive_write_data(out.get(), content.data(), content.size()) !=
        static_cast<la_ssize_t>(content.size()))
      require(ARCHIVE_FATAL, out.get(), "data");
  }
  require(::archive_write_close(out.get()), out.get(), "close");
  return bytes;
}

std::map<std::string, std::string> from_archive(std::string_view bytes, const std::string& file) {
  const Archive in(::archive_read_new());
  ::archive_read_support_format_tar(in.get());
  if (::archive_read_open_memory(in.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    refuse(file, "it is no package archive");
  std::map<std::string, std::string> files;
  archive_entry* entry = nullptr;
  int status;
  while ((status = ::archive_read_next_header(in.get(), &entry)) == ARCHIVE_OK) {
    const char* name = ::archive_entry_pathname(entry);
    const std::string path = name == nullptr ? "" : name;
    if (!is_safe_path(path) || ::archive_entry_filetype(entry) != AE_IFREG)
      refuse(file, fmt::format("\"{}\" is no plain file inside it", escaped(path, 120)));
    const auto size = static_cast<uint64_t>(::archive_entry_size(entry));
    if (size > bytes.size())
      refuse(file, fmt::format("{} is larger than the archive", escaped(path)));
    std::string content(size, '\0');
    if (::archive_read_data(in.get(), content.data(), size) != static_cast<la_ssize_t>(size))
      refuse(file, fmt::format("{} is cut off", escaped(path)));
    if (!files.emplace(path, std::move(content)).second)
      refuse(file, fmt::format("{} is in it twice", escaped(path)));
  }
  if (status != ARCHIVE_EOF || files.empty()) refuse(file, "it is no package archive, or damaged");
  if (to_archive(files) != bytes)
    refuse(file, "its bytes are not those that `moecollab pack` writes for its contents");
  return files;
}

}  // namespace moecollab
