// Files: bounded reads, atomic writes, and finding out early that an output cannot be written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace moecollab {

namespace fs = std::filesystem;

// A path as a message may show it: escaped and cut.
std::string shown(const fs::path& path);

// The bytes of a regular file of at most `limit` bytes. Throws `code` naming path and reason
// (errno, the target of a link that leads nowhere, "is a directory", both sizes).
std::string read_file(const fs::path& path, const std::string& code, uint64_t limit = UINT64_MAX);

// Calls `use` with the file's bytes, a megabyte at a time, in order.
void for_each_chunk(const fs::path& path, const std::string& code,
                    const std::function<void(std::string_view)>& use);

// Replaces `path` by a file of these parts, one after the other: a file without a name in the same
// folder (if the file system has none: a temporary one), fsync, rename, fsync of the folder. A
// process that is killed while it writes leaves nothing (in the instant before the rename: the
// whole new file under a name of its own beside the old one). On failure, and if `path` is no file
// (a device such as /dev/null), throws E_WRITE, and `path` is as before (if only the folder's fsync
// fails, it is the new one, and a power cut may bring the old one back).
void write_file_atomic(const fs::path& path, std::span<const std::string_view> parts);
void write_file_atomic(const fs::path& path, std::string_view bytes);

// Adds the line and a newline to the file, which is made if there is none, at its end whoever else
// adds to it; a last line without a newline, of a write that failed, gets one. Throws E_WRITE.
void append_line(const fs::path& path, std::string_view line);

// Throws E_WRITE unless a file at `path` could be written now (its folder exists and takes new
// files, and `path` is a file or nothing yet: no folder, link, device or pipe) and its name is not
// `-`, by which people mean standard output. Writes nothing that stays.
void require_writable(const fs::path& path);

// The same of new files in a folder that may not be there yet: then the nearest one above it that
// is there must take new folders.
void require_writable_folder(const fs::path& folder);

// Throws E_WRITE naming both numbers if the file system of `folder`, which exists, has fewer than
// `bytes` free for this user. `what` needs them: "expert news-words".
void require_space(const fs::path& folder, uint64_t bytes, const std::string& what);

// Makes the folder, and those above it, if there are none. Throws E_WRITE.
void make_folder(const fs::path& folder);

// Waits until everything in the folder is on the disk. Throws E_WRITE.
void sync_folder(const fs::path& folder);

// A new empty folder under the system's temporary folder; removed with all in it at destruction.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(std::string_view prefix = "moecollab");
  // The same inside `parent`, on whose file system the folder can be renamed into place.
  TemporaryFolder(const fs::path& parent, std::string_view prefix);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace moecollab
