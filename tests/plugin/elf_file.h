// What a 64-bit ELF library says about itself, read from the file without loading it.
#pragma once

#include <elf.h>
#include <moecollab/note.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace moecollab::plugin_test {

class ElfFile {
 public:
  explicit ElfFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    const auto header = at<Elf64_Ehdr>(0);
    for (int i = 0; i < header.e_shnum; ++i) {
      sections_.push_back(
          at<Elf64_Shdr>(header.e_shoff + static_cast<size_t>(i) * header.e_shentsize));
    }
    for (const Elf64_Shdr& section : sections_) {
      if (section.sh_type == SHT_DYNSYM) read_symbols(section);
      if (section.sh_type == SHT_NOTE) read_note(section);
    }
  }

  std::vector<std::string> defined, undefined;  // dynamic symbols
  std::vector<moec_note> notes;                 // of MoECollab

 private:
  template <typename T>
  T at(size_t offset) const {
    if (offset + sizeof(T) > bytes_.size()) throw std::runtime_error("outside the file");
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }

  void read_symbols(const Elf64_Shdr& section) {
    const Elf64_Shdr& names = sections_.at(section.sh_link);
    for (size_t o = sizeof(Elf64_Sym); o < section.sh_size; o += sizeof(Elf64_Sym)) {
      const auto symbol = at<Elf64_Sym>(section.sh_offset + o);
      const std::string name = bytes_.data() + names.sh_offset + symbol.st_name;
      (symbol.st_shndx == SHN_UNDEF ? undefined : defined).push_back(name);
    }
  }

  void read_note(const Elf64_Shdr& section) {
    const auto header = at<Elf64_Nhdr>(section.sh_offset);
    const std::string name = bytes_.data() + section.sh_offset + sizeof(header);
    if (name == MOEC_NOTE_NAME && header.n_type == MOEC_NOTE_TYPE) {
      notes.push_back(at<moec_elf_note>(section.sh_offset).description);
    }
  }

  std::vector<char> bytes_;
  std::vector<Elf64_Shdr> sections_;
};

}  // namespace moecollab::plugin_test
