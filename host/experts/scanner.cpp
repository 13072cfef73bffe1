#include "experts/scanner.h"

#include <elf.h>
#include <fmt/format.h>
#include <moecollab/note.h>

#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::experts {
namespace {

// Bounds-checked access to the bytes of one ELF file.
class ElfReader {
 public:
  ElfReader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {
    if (bytes_.size() < EI_NIDENT ||
        bytes_.substr(0, SELFMAG) != std::string_view(ELFMAG, SELFMAG)) {
      refuse("FORMAT", "it is not an ELF file", "build it with moecollab_add_expert()");
    }
    const auto ident = [&](int i) {
      return static_cast<unsigned char>(bytes_[static_cast<size_t>(i)]);
    };
    if (ident(EI_CLASS) != ELFCLASS64) {
      refuse("CLASS", fmt::format("ELF class is {}, the host needs 64-bit (2)", ident(EI_CLASS)),
             "build it for x86-64");
    }
    if (ident(EI_DATA) != ELFDATA2LSB)
      refuse("CLASS", "byte order is not little-endian", "build it for x86-64");
    header_ = at<Elf64_Ehdr>(0, "file header");
    if (header_.e_machine != EM_X86_64) {
      refuse("MACHINE",
             fmt::format("machine is {}, the host is x86-64 ({})", header_.e_machine, EM_X86_64),
             "ask for a package of this platform");
    }
    if (header_.e_type != ET_DYN) {
      refuse("TYPE",
             fmt::format("ELF type is {}, expected a shared object ({})", header_.e_type, ET_DYN),
             "link it with -shared");
    }
    if (header_.e_phentsize != sizeof(Elf64_Phdr) || header_.e_phnum == 0) {
      refuse("BOUNDS", "it has no program headers of the expected size", kDamaged);
    }
  }

  int segments() const { return header_.e_phnum; }

  Elf64_Phdr segment(int i) const {
    const auto header = at<Elf64_Phdr>(
        header_.e_phoff + static_cast<uint64_t>(i) * sizeof(Elf64_Phdr), "program header");
    if (header.p_offset > bytes_.size() || header.p_filesz > bytes_.size() - header.p_offset) {
      refuse("BOUNDS",
             fmt::format("segment {} ends at byte {} of a file of {}", i,
                         header.p_offset + header.p_filesz, bytes_.size()),
             kDamaged);
    }
    return header;
  }

  // Section headers are not needed to run, but lie at the file's end: their bounds show truncation.
  void check_sections() const {
    const uint64_t size = uint64_t{header_.e_shnum} * header_.e_shentsize;
    if (header_.e_shoff > bytes_.size() || size > bytes_.size() - header_.e_shoff) {
      refuse("BOUNDS",
             fmt::format("section headers end at byte {} of a file of {}", header_.e_shoff + size,
                         bytes_.size()),
             kDamaged);
    }
  }

  std::string_view contents(const Elf64_Phdr& segment) const {
    return bytes_.substr(segment.p_offset, segment.p_filesz);
  }

  [[noreturn]] void refuse(const char* kind, const std::string& what, const char* hint) const {
    throw Error(fmt::format("E_ELF_{}", kind), fmt::format("{}: {}", file_, what), hint);
  }

 private:
  static constexpr const char* kDamaged = "the file is damaged; get the package again";

  template <typename T>
  T at(uint64_t offset, const char* what) const {
    if (offset > bytes_.size() || sizeof(T) > bytes_.size() - offset) {
      refuse("BOUNDS", fmt::format("{} at byte {} of a file of {}", what, offset, bytes_.size()),
             kDamaged);
    }
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }

  std::string_view bytes_;
  const std::string& file_;
  Elf64_Ehdr header_;
};

uint64_t aligned(uint64_t n) { return (n + 3) & ~uint64_t{3}; }

// The description of our note in a PT_NOTE segment, which may hold notes of others.
std::optional<std::string_view> find_note(std::string_view notes) {
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data(), sizeof header);
    notes.remove_prefix(sizeof header);
    const uint64_t name_size = aligned(header.n_namesz),
                   description_size = aligned(header.n_descsz);
    if (name_size > notes.size() || header.n_descsz > notes.size() - name_size) return std::nullopt;
    const std::string_view name = notes.substr(0, header.n_namesz);
    if (name == std::string_view(MOEC_NOTE_NAME, sizeof(MOEC_NOTE_NAME)) &&
        header.n_type == MOEC_NOTE_TYPE) {
      return notes.substr(name_size, header.n_descsz);
    }
    notes.remove_prefix(std::min<uint64_t>(notes.size(), name_size + description_size));
  }
  return std::nullopt;
}

template <size_t N>
std::string padded(const char (&field)[N]) {
  return std::string(field, strnlen(field, N));
}

}  // namespace

LibraryNote scan_library(std::string_view bytes, const std::string& file) {
  const ElfReader elf(bytes, file);
  std::optional<std::string_view> found;
  for (int i = 0; i < elf.segments(); ++i) {
    const Elf64_Phdr segment = elf.segment(i);
    if (segment.p_type == PT_NOTE && !found) found = find_note(elf.contents(segment));
  }
  elf.check_sections();
  if (!found || found->size() < sizeof(moec_note)) {
    throw Error("E_ABI_NOTE", fmt::format("{}: no MoECollab ABI note", file),
                "an expert library carries one: use MOECOLLAB_LIBRARY or MOEC_LIBRARY_NOTE");
  }
  moec_note note;
  std::memcpy(&note, found->data(), sizeof note);
  if (note.required_flags != 0) {
    throw Error("E_ABI",
                fmt::format("{}: needs features {:#x} of the host, which knows none of them", file,
                            note.required_flags),
                "install a newer host");
  }
  return {note.abi_major,   note.abi_minor,  note.min_host_minor,
          padded(note.sdk), padded(note.id), padded(note.version)};
}

void require_abi(const LibraryNote& note, const std::string& file) {
  // While the major is 0, a minor may change anything, so minors must be equal.
  const uint32_t needed = note.abi_major == 0 ? note.abi_minor : note.min_host_minor;
  const bool fits = note.abi_major == MOEC_ABI_MAJOR &&
                    (MOEC_ABI_MAJOR == 0 ? needed == MOEC_ABI_MINOR : needed <= MOEC_ABI_MINOR);
  if (!fits) {
    throw Error("E_ABI",
                fmt::format("{}: needs ABI {}.{}, host has {}.{}", file, note.abi_major, needed,
                            MOEC_ABI_MAJOR, MOEC_ABI_MINOR),
                fmt::format("rebuild the expert with SDK {} or install a host of its version",
                            MOEC_SDK_VERSION));
  }
}

}  // namespace moecollab::experts
