#include "base/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>

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
bool is_safe_path(std::string_view path, size_t longest = 100) {
  if (path.empty() || path.front() == '/' || path.size() > longest) return false;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return true;
}

// Nothing may be thrown through the library, which is C.
la_ssize_t append(archive* out, void* to, const void* bytes, size_t size) {
  try {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
  } catch (const std::bad_alloc&) {
    ::archive_set_error(out, ENOMEM, "out of memory");
    return -1;
  }
}

constexpr size_t kLongestPath = 255;        // of ustar
constexpr size_t kPiece = size_t{1} << 20;  // bytes that are copied at once

std::unique_ptr<archive_entry, FreeEntry> plain_entry(const std::string& path, uint64_t size) {
  std::unique_ptr<archive_entry, FreeEntry> entry(::archive_entry_new());
  ::archive_entry_set_pathname(entry.get(), path.c_str());
  ::archive_entry_set_filetype(entry.get(), AE_IFREG);
  ::archive_entry_set_perm(entry.get(), kMode);
  ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
  ::archive_entry_set_mtime(entry.get(), 0, 0);
  return entry;
}

void set_ustar(archive* out) {
  require(::archive_write_set_format_ustar(out), out, "format");
  require(::archive_write_add_filter_none(out), out, "filter");
  require(::archive_write_set_bytes_in_last_block(out, 1), out, "block");
}

[[noreturn]] void fail_archive(const fs::path& path, const char* reason) {
  throw Error("E_WRITE", fmt::format("{} cannot be written: {}", shown(path), reason),
              "what was there is as it was");
}

// libarchive's own text of the last failure, or that of errno.
const char* reason_of(archive* a) {
  const char* text = ::archive_error_string(a);
  return text == nullptr ? std::strerror(errno) : text;
}

void append_file(archive* out, const ArchiveFile& source, const fs::path& output) {
  if (!is_safe_path(source.path, kLongestPath)) {
    throw Error("E_PLUG_PATH",
                fmt::format("{} cannot be packed: a path is relative and of at most {} bytes",
                            escaped(source.path, 300), kLongestPath));
  }
  std::error_code error;
  const uint64_t size = fs::file_size(source.file, error);
  if (error) {
    throw Error("E_REG_IO",
                fmt::format("{} cannot be read: {}", shown(source.file), error.message()));
  }
  if (::archive_write_header(out, plain_entry(source.path, size).get()) != ARCHIVE_OK)
    fail_archive(output, reason_of(out));
  uint64_t written = 0;
  for_each_chunk(source.file, "E_REG_IO", [&](std::string_view piece) {
    if (::archive_write_data(out, piece.data(), piece.size()) !=
        static_cast<la_ssize_t>(piece.size()))
      fail_archive(output, reason_of(out));
    written += piece.size();
  });
  if (written == size) return;
  throw Error("E_REG_IO", fmt::format("{} changed while it was packed", shown(source.file)),
              "try again while nobody writes to it");
}

[[noreturn]] void refuse_export(const fs::path& file, const std::string& what) {
  throw Error("E_REG_ARCHIVE", fmt::format("{}: {}", shown(file), what),
              "get it again, or make it with `moecollab registry export`");
}

bool lies_below_a_file(const fs::path& folder, const fs::path& path) {
  fs::path above = folder;
  for (const fs::path& part : path.parent_path()) {
    above /= part;
    if (fs::is_regular_file(above)) return true;
  }
  return false;
}

void extract_entry(archive* in, archive_entry* entry, const fs::path& to, const fs::path& file) {
  std::ofstream out(to, std::ios::binary | std::ios::trunc);
  std::string piece(kPiece, '\0');
  auto left = static_cast<uint64_t>(::archive_entry_size(entry));
  while (left > 0) {
    const la_ssize_t n = ::archive_read_data(in, piece.data(), std::min<uint64_t>(kPiece, left));
    if (n <= 0) refuse_export(file, fmt::format("{} is cut off", shown(to.filename())));
    out.write(piece.data(), n);
    left -= static_cast<uint64_t>(n);
  }
  out.close();
  if (!out) fail_archive(to, std::strerror(errno));
}

}  // namespace

std::string to_archive(const std::map<std::string, std::string>& files) {
  std::string bytes;
  const Archive out(::archive_write_new());
  set_ustar(out.get());
  require(::archive_write_open(out.get(), &bytes, nullptr, &append, nullptr), out.get(), "open");
  for (const auto& [path, content] : files) {
    if (!is_safe_path(path)) {
      throw Error("E_PLUG_PATH",
                  fmt::format("{} cannot be packed: a path is relative and of at most 100 bytes",
                              escaped(path, 120)));
    }
    const auto entry = plain_entry(path, content.size());
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

void write_archive(const fs::path& output, const std::vector<ArchiveFile>& files,
                   const std::function<void()>& before_replacing) {
  require_writable(output);
  const TemporaryFolder beside(fs::absolute(output).parent_path(), ".export");
  const fs::path part = beside.path() / "part";
  const Archive out(::archive_write_new());
  set_ustar(out.get());
  if (::archive_write_open_filename(out.get(), part.c_str()) != ARCHIVE_OK)
    fail_archive(output, reason_of(out.get()));
  for (const ArchiveFile& file : files) append_file(out.get(), file, output);
  if (::archive_write_close(out.get()) != ARCHIVE_OK) fail_archive(output, reason_of(out.get()));
  sync_folder(beside.path());
  if (before_replacing) before_replacing();
  std::error_code error;
  fs::rename(part, output, error);
  if (error) fail_archive(output, error.message().c_str());
}

void extract_archive(const fs::path& file, const fs::path& folder) {
  std::error_code error;
  const uint64_t size = fs::is_regular_file(file, error) ? fs::file_size(file, error) : 0;
  if (size == 0) refuse_export(file, "it is no file, or empty");
  const Archive in(::archive_read_new());
  ::archive_read_support_format_tar(in.get());
  if (::archive_read_open_filename(in.get(), file.c_str(), kPiece) != ARCHIVE_OK)
    refuse_export(file, reason_of(in.get()));
  archive_entry* entry = nullptr;
  size_t files = 0;
  uint64_t total = 0;
  int status;
  while ((status = ::archive_read_next_header(in.get(), &entry)) == ARCHIVE_OK) {
    const char* name = ::archive_entry_pathname(entry);
    const std::string path = name == nullptr ? "" : name;
    const bool plain =
        ::archive_entry_filetype(entry) == AE_IFREG && ::archive_entry_hardlink(entry) == nullptr;
    if (!plain || !is_safe_path(path, kLongestPath))
      refuse_export(file, fmt::format("\"{}\" is no plain file inside it", escaped(path, 120)));
    if (++files > kMaxArchiveFiles) refuse_export(file, "it has too many files");
    total += static_cast<uint64_t>(::archive_entry_size(entry));
    if (total > size)
      refuse_export(file, fmt::format("{} is larger than the archive", escaped(path)));
    if (lies_below_a_file(folder, path))
      refuse_export(file, fmt::format("\"{}\" lies below a file", escaped(path, 120)));
    make_folder((folder / path).parent_path());
    if (fs::exists(folder / path))
      refuse_export(file, fmt::format("{} is in it twice", escaped(path)));
    extract_entry(in.get(), entry, folder / path, file);
  }
  if (status != ARCHIVE_EOF || files == 0) refuse_export(file, "it is no archive, or damaged");
}

}  // namespace moecollab
