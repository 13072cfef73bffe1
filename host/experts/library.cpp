#include "experts/library.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "base/strings.h"
#include "experts/elf_facts.h"

namespace moecollab::experts {
namespace {

// An anonymous file that nobody can change any more. The descriptor is never closed: the loader
// knows libraries by path, and a reused /proc/self/fd/N would silently give the library that had
// the number before.
int sealed_copy(std::string_view bytes, const std::string& file) {
  const auto fail = [&](const char* step) {
    throw Error("E_PLUG_IO", fmt::format("{}: {} of the sealed copy failed: {}", file, step,
                                         std::strerror(errno)));
  };
  const int fd = ::memfd_create("moecollab-expert", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) fail("creation");
  for (std::string_view rest = bytes; !rest.empty();) {
    const ssize_t n = ::write(fd, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("writing");
    rest.remove_prefix(static_cast<size_t>(n));
  }
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    fail("sealing");
  return fd;
}

void require_same(const std::string& what, const std::string& note, const std::string& described,
                  const std::string& file) {
  if (note == described) return;
  throw Error("E_DESC_MISMATCH", fmt::format("{}: the note says {} {}, describe() says {}", file,
                                             what, escaped(note), escaped(described)));
}

// C++ LibTorch has no stable ABI: a library that was built with another minor is no error that the
// loader sees.
void require_stated(const std::string& torch, bool states_libtorch, const std::string& file) {
  if (torch.empty() || states_libtorch) return;
  throw Error("E_ABI_LIBTORCH",
              fmt::format("{} needs {}, and its manifest does not say of which LibTorch", file,
                          escaped(torch)),
              "the author adds libtorch = \"==MAJOR.MINOR.*\" below [abi]; "
              "moecollab_add_expert(… TORCH) writes it");
}

}  // namespace

std::string to_string(moec_string text) {
  return text.size == 0 ? std::string() : std::string(text.data, static_cast<size_t>(text.size));
}

const Library& Library::load(std::string_view bytes, const std::string& sha256,
                             const std::string& file, bool states_libtorch) {
  static std::mutex mutex;
  static auto& loaded =
      *new std::map<std::string, std::unique_ptr<Library>>();  // lives as long as the process
  const std::lock_guard lock(mutex);
  auto& library = loaded[sha256];
  if (!library) library.reset(new Library(bytes, file, states_libtorch));
  require_stated(library->torch_, states_libtorch, file);
  return *library;
}

Library::Library(std::string_view bytes, const std::string& file, bool states_libtorch)
    : note_(scan_library(bytes, file)) {
  require_abi(note_, file);
  const ElfFacts facts = read_elf(bytes, file);
  require_plain(facts, file);
  torch_ = needed_of_torch(facts);
  require_stated(torch_, states_libtorch, file);
  namespace dll = boost::dll;
  const std::string path = fmt::format("/proc/self/fd/{}", sealed_copy(bytes, file));
  // RTLD_NOW: a missing symbol is a refusal here, not the host's death at the first call.
  boost::system::error_code error;
  auto& handle =
      *new dll::shared_library();  // never unloaded: a destructor of the library might still run
  handle.load(path, error, dll::load_mode::rtld_now | dll::load_mode::rtld_local);
  if (error) {
    // The path means nothing to a reader; dlerror's text follows it.
    std::string reason = error.message();
    if (const char* detail = ::dlerror(); detail != nullptr) reason = detail;
    throw Error("E_ELF_SYM", fmt::format("{}: it cannot be loaded: {}", file, escaped(reason)),
                "an expert links every library that it uses, and those must be installed");
  }
  if (!handle.has("moec_plugin_entry")) {
    throw Error("E_ELF_SYM", fmt::format("{}: it does not export moec_plugin_entry", file),
                "use moecollab_add_expert()");
  }
  entry_ = &handle.get<const moec_library*()>("moec_plugin_entry");
  table_ = entry_();
  if (table_ == nullptr || table_->struct_size < sizeof(uint32_t) * 4 ||
      !MOEC_HAS(table_, moec_library, destroy)) {
    throw Error("E_ABI", fmt::format("{}: moec_plugin_entry() gives no whole table", file));
  }
  if (table_->describe == nullptr || table_->get_extension == nullptr ||
      table_->create == nullptr || table_->requirements == nullptr || table_->forward == nullptr ||
      table_->destroy == nullptr) {
    throw Error("E_ABI",
                fmt::format("{}: the table of moec_plugin_entry() has a NULL member", file),
                "every function of moec_library must be there");
  }
  info_ = table_->describe();
  if (info_ == nullptr || !MOEC_HAS(info_, moec_library_info, sdk)) {
    throw Error("E_DESC_MISMATCH", fmt::format("{}: describe() gives nothing", file));
  }
  require_same("id", note_.id, to_string(info_->id), file);
  require_same("version", note_.version, to_string(info_->version), file);
}

}  // namespace moecollab::experts
