#include "conformance/redirected_imports.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/error.h"

namespace moecollab::conformance {
namespace {

// The loader may have made the table of imports read-only.
void write_slot(void** slot, void* value) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  void* start = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(slot) / page * page);
  if (::mprotect(start, page, PROT_READ | PROT_WRITE) != 0)
    throw Error("E_INTERNAL", "the library's imports cannot be redirected");
  *slot = value;
}

}  // namespace

void redirect_imports(const void* code, const std::map<std::string_view, void*>& functions) {
  Dl_info info{};
  link_map* map = nullptr;
  if (::dladdr1(code, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 ||
      map == nullptr)
    throw Error("E_INTERNAL", "the loader does not know the library");
  std::map<int64_t, uintptr_t> dynamic;
  for (const ElfW(Dyn)* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry)
    dynamic[entry->d_tag] = entry->d_un.d_ptr;
  const auto* symbols = reinterpret_cast<const ElfW(Sym)*>(dynamic[DT_SYMTAB]);
  const auto* names = reinterpret_cast<const char*>(dynamic[DT_STRTAB]);
  const auto redirect = [&](int64_t table, int64_t size) {
    const auto* relocations = reinterpret_cast<const ElfW(Rela)*>(dynamic[table]);
    for (size_t i = 0; i < dynamic[size] / sizeof(ElfW(Rela)); ++i) {
      const ElfW(Rela)& relocation = relocations[i];
      const auto type = ELF64_R_TYPE(relocation.r_info);
      if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) continue;
      const auto ours = functions.find(names + symbols[ELF64_R_SYM(relocation.r_info)].st_name);
      if (ours == functions.end()) continue;
      write_slot(reinterpret_cast<void**>(map->l_addr + relocation.r_offset), ours->second);
    }
  };
  redirect(DT_JMPREL, DT_PLTRELSZ);
  redirect(DT_RELA, DT_RELASZ);
}

}  // namespace moecollab::conformance
