#include "experts/library.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "experts/active_call.h"
#include "experts/elf_facts.h"

namespace moecollab::experts {
namespace {

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

}  // namespace

std::string to_string(moec_string text) {
  return text.size == 0 ? std::string() : std::string(text.data, static_cast<size_t>(text.size));
}

SealedLibrary::SealedLibrary(std::string_view bytes, const std::string& file, bool states_libtorch)
    : file_(file) {
  scan(bytes);
  if (!states_libtorch) require_stated();
  descriptor_ = sealed_copy(bytes, file);
}

SealedLibrary::SealedLibrary(int descriptor, const std::string& file)
    : file_(file), descriptor_(descriptor) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0)
    throw Error("E_PLUG_IO", fmt::format("{}: {}", file, std::strerror(errno)));
  const auto size = static_cast<size_t>(facts.st_size);
  void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (bytes == MAP_FAILED)
    throw Error("E_PLUG_IO", fmt::format("{}: {}", file, std::strerror(errno)));
  const std::unique_ptr<void, std::function<void(void*)>> mapped(
      bytes, [size](void* all) { ::munmap(all, size); });
  scan({static_cast<const char*>(bytes), size});
}

SealedLibrary::SealedLibrary(SealedLibrary&& other) noexcept
    : file_(std::move(other.file_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      note_(std::move(other.note_)),
      torch_(std::move(other.torch_)) {}

SealedLibrary::~SealedLibrary() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void SealedLibrary::scan(std::string_view bytes) {
  note_ = scan_library(bytes, file_);
  require_abi(note_, file_);
  const ElfFacts facts = read_elf(bytes, file_);
  require_plain(facts, file_);
  torch_ = needed_of_torch(facts);
}

// C++ LibTorch has no stable ABI: a library that was built with another minor is no error that the
// loader sees.
void SealedLibrary::require_stated() const {
  if (torch_.empty()) return;
  throw Error("E_ABI_LIBTORCH",
              fmt::format("{} needs {}, and its manifest does not say of which LibTorch", file_,
                          escaped(torch_)),
              "the author adds libtorch = \"==MAJOR.MINOR.*\" below [abi]; "
              "moecollab_add_expert(… TORCH) writes it");
}

const Library& Library::load(std::string_view bytes, const std::string& sha256,
                             const std::string& file, bool states_libtorch) {
  static std::mutex mutex;
  static auto& loaded =
      *new std::map<std::string, std::unique_ptr<Library>>();  // lives as long as the process
  const std::lock_guard lock(mutex);
  auto& library = loaded[sha256];
  if (!library) library = std::make_unique<Library>(SealedLibrary(bytes, file, states_libtorch));
  if (!states_libtorch) library->sealed_.require_stated();
  return *library;
}

Library::Library(SealedLibrary sealed) : sealed_(std::move(sealed)) {
  const std::string& file = sealed_.file();
  const ActiveCall in(file, "load");
  namespace dll = boost::dll;
  const std::string path = fmt::format("/proc/self/fd/{}", sealed_.descriptor());
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
  require_same("id", note().id, to_string(info_->id), file);
  require_same("version", note().version, to_string(info_->version), file);
}

}  // namespace moecollab::experts
