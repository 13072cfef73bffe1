/* The ABI note: who a library is, as data that a host reads from the file before any code runs.
 *
 *   MOEC_LIBRARY_NOTE("com.example.clauses", "1.2.0");   // once, at file scope; literals only
 *
 * An ELF note of name "MoECollab" and type 1 in section .note.moecollab (none in a Windows DLL).
 *
 * The file is an ELF shared object that a host scans in 100 ms @rule scanned-fast and that needs
 * the C and C++ runtimes only, and LibTorch if expert.toml says so. @rule needs-runtimes They are
 * as old as Debian 12's. @rule old-glibc It has no executable stack, RPATH, RUNPATH or text
 * relocation. @rule plain-elf It loads, with every symbol resolved @rule loads, and runs nothing
 * then that can fail. @rule quiet-load
 */
#ifndef MOECOLLAB_NOTE_H_
#define MOECOLLAB_NOTE_H_

#include <moecollab/abi.h>

#define MOEC_NOTE_NAME "MoECollab"
#define MOEC_NOTE_TYPE 1u
/* Lowest host minor that a library built with these headers needs. */
#define MOEC_MIN_HOST_MINOR 0u

/* The note's description; little-endian, strings NUL-padded. It says what the table and describe()
 * say. @rule note-true */
typedef struct moec_note {
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t min_host_minor;
  uint32_t required_flags; /* a host refuses a flag that it does not know */
  uint32_t optional_flags;
  char sdk[16];
  char id[128];
  char version[32];
} moec_note;

/* The note as it lies in the file. */
typedef struct moec_elf_note {
  uint32_t name_size, description_size, type;
  char name[12]; /* padded to a multiple of 4 */
  moec_note description;
} moec_elf_note;

#if defined(__ELF__)
#define MOEC_NOTE_SECTION __attribute__((section(".note.moecollab"), used, aligned(4)))
#elif defined(__GNUC__)
#define MOEC_NOTE_SECTION __attribute__((used))
#else
#define MOEC_NOTE_SECTION
#endif

/* Puts the note into the library: at most 127 bytes of id, 31 of version. */
#define MOEC_LIBRARY_NOTE(library_id, library_version)                                            \
  MOEC_NOTE_SECTION static const moec_elf_note moec_library_note = {                              \
      sizeof(MOEC_NOTE_NAME),                                                                     \
      sizeof(moec_note),                                                                          \
      MOEC_NOTE_TYPE,                                                                             \
      MOEC_NOTE_NAME,                                                                             \
      {MOEC_ABI_MAJOR, MOEC_ABI_MINOR, MOEC_MIN_HOST_MINOR, 0u, 0u, MOEC_SDK_VERSION, library_id, \
       library_version}}

#endif /* MOECOLLAB_NOTE_H_ */
