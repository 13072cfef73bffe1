#include "experts/scanner.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <moecollab/note.h>

#include <cstring>

#include "base/error.h"

namespace moecollab::experts {
namespace {

using ::testing::HasSubstr;

// The smallest file that passes: header, two program headers (a segment and the note), the note.
struct Elf {
  Elf64_Ehdr header{};
  Elf64_Phdr load{}, note_segment{};
  moec_elf_note note{};

  Elf() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_machine = EM_X86_64;
    header.e_type = ET_DYN;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    load.p_type = PT_LOAD;
    load.p_filesz = sizeof(Elf);
    note_segment.p_type = PT_NOTE;
    note_segment.p_offset = offsetof(Elf, note);
    note_segment.p_filesz = sizeof note;
    note.name_size = sizeof(MOEC_NOTE_NAME);
    note.description_size = sizeof(moec_note);
    note.type = MOEC_NOTE_TYPE;
    std::strcpy(note.name, MOEC_NOTE_NAME);
    note.description = {
        MOEC_ABI_MAJOR,  MOEC_ABI_MINOR, MOEC_MIN_HOST_MINOR, 0, 0, MOEC_SDK_VERSION,
        "org.example.x", "1.2.3"};
  }
  std::string bytes() const { return {reinterpret_cast<const char*>(this), sizeof *this}; }
};

std::string code_of(const std::string& bytes) {
  try {
    require_abi(scan_library(bytes, "x.so"), "x.so");
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("x.so"));
    return error.code();
  }
  return "none";
}

TEST(Scanner, ReadsTheNote) {
  const LibraryNote note = scan_library(Elf().bytes(), "x.so");
  EXPECT_EQ(note.id, "org.example.x");
  EXPECT_EQ(note.version, "1.2.3");
  EXPECT_EQ(note.sdk, MOEC_SDK_VERSION);
  EXPECT_EQ(note.abi_minor, MOEC_ABI_MINOR);
}

TEST(Scanner, R13_OtherFilesAreRefused) {
  EXPECT_EQ(code_of(""), "E_ELF_FORMAT");
  EXPECT_EQ(code_of("#!/bin/sh\necho I am no library\n"), "E_ELF_FORMAT");
  EXPECT_EQ(code_of("!<arch>\n"), "E_ELF_FORMAT");
  Elf elf;
  elf.header.e_ident[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(code_of(elf.bytes()), "E_ELF_CLASS");
  elf = Elf();
  elf.header.e_ident[EI_DATA] = ELFDATA2MSB;
  EXPECT_EQ(code_of(elf.bytes()), "E_ELF_CLASS");
  elf = Elf();
  elf.header.e_machine = EM_AARCH64;
  EXPECT_EQ(code_of(elf.bytes()), "E_ELF_MACHINE");
  elf = Elf();
  elf.header.e_type = ET_EXEC;
  EXPECT_EQ(code_of(elf.bytes()), "E_ELF_TYPE");
}

TEST(Scanner, SegmentsOutsideTheFileAreRefused) {
  Elf elf;
  elf.load.p_filesz = sizeof(Elf) + 1;
  EXPECT_EQ(code_of(elf.bytes()), "E_ELF_BOUNDS");
  elf = Elf();
  elf.load.p_offset = ~0ULL;
  EXPECT_EQ(code_of(elf.bytes()), "E_ELF_BOUNDS");
  elf = Elf();
  elf.header.e_phoff = sizeof(Elf) - 8;
  EXPECT_EQ(code_of(elf.bytes()), "E_ELF_BOUNDS");
  elf = Elf();
  elf.header.e_shoff = sizeof(Elf);
  elf.header.e_shnum = 1;
  elf.header.e_shentsize = sizeof(Elf64_Shdr);
  EXPECT_EQ(code_of(elf.bytes()), "E_ELF_BOUNDS");
}

TEST(Scanner, R15_NotesMissingMalformedOrOfAnotherAbi) {
  Elf elf;
  elf.note.name[0] = 'X';
  EXPECT_EQ(code_of(elf.bytes()), "E_ABI_NOTE");
  elf = Elf();
  elf.note.description_size = 8;
  EXPECT_EQ(code_of(elf.bytes()), "E_ABI_NOTE");
  elf = Elf();
  elf.note.description_size = 0xFFFFFFF0;
  EXPECT_EQ(code_of(elf.bytes()), "E_ABI_NOTE");
  elf = Elf();
  elf.note.description.abi_major = MOEC_ABI_MAJOR + 1;
  EXPECT_EQ(code_of(elf.bytes()), "E_ABI");
  elf = Elf();
  elf.note.description.abi_minor = MOEC_ABI_MINOR + 1;
  EXPECT_EQ(code_of(elf.bytes()), "none") << "newer headers alone are no reason";
  elf.note.description.min_host_minor = MOEC_ABI_MINOR + 1;
  EXPECT_EQ(code_of(elf.bytes()), "E_ABI");
  elf = Elf();
  elf.note.description.abi_major = 0;
  elf.note.description.abi_minor = 9;
  EXPECT_EQ(code_of(elf.bytes()), "E_ABI") << "what was before 1.0 promised nothing";
  elf = Elf();
  elf.note.description.required_flags = 4;
  EXPECT_EQ(code_of(elf.bytes()), "E_ABI");
}

// Every truncation and every flipped byte is refused or read; under ASan, nothing outside is
// touched.
TEST(Scanner, DamageIsRefusedOrHarmless) {
  const std::string good = Elf().bytes();
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(code_of(good.substr(0, size)), "none") << size;
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      code_of(bad);
    }
  }
}

}  // namespace
}  // namespace moecollab::experts
