#include "conformance/failing_memory.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <new>
#include <string_view>

#include "base/error.h"

namespace moecollab::conformance {
namespace {

constexpr int64_t kNever = -1;
std::atomic<int64_t> g_left = kNever;
std::atomic<bool> g_failed = false;

bool fails() {
  if (g_left == kNever || g_left-- > 0) return false;
  g_left = kNever;
  g_failed = true;
  return true;
}

void* out_of_memory() {
  errno = ENOMEM;
  return nullptr;
}

void* count_malloc(size_t size) { return fails() ? out_of_memory() : std::malloc(size); }
void* count_calloc(size_t n, size_t size) {
  return fails() ? out_of_memory() : std::calloc(n, size);
}
void* count_realloc(void* p, size_t size) {
  return fails() ? out_of_memory() : std::realloc(p, size);
}
void* count_aligned_alloc(size_t alignment, size_t size) {
  return fails() ? out_of_memory() : std::aligned_alloc(alignment, size);
}
int count_posix_memalign(void** p, size_t alignment, size_t size) {
  return fails() ? ENOMEM : ::posix_memalign(p, alignment, size);
}
void* count_new(size_t size) {
  if (fails()) throw std::bad_alloc();
  return ::operator new(size);
}
void* count_new_aligned(size_t size, std::align_val_t alignment) {
  if (fails()) throw std::bad_alloc();
  return ::operator new(size, alignment);
}
void* count_new_nothrow(size_t size, const std::nothrow_t& tag) noexcept {
  return fails() ? nullptr : ::operator new(size, tag);
}

template <typename Function>
void* address(Function* function) {
  return reinterpret_cast<void*>(function);
}

const std::map<std::string_view, void*>& hooks() {
  static const std::map<std::string_view, void*> all = {
      {"malloc", address(count_malloc)},
      {"calloc", address(count_calloc)},
      {"realloc", address(count_realloc)},
      {"aligned_alloc", address(count_aligned_alloc)},
      {"posix_memalign", address(count_posix_memalign)},
      {"_Znwm", address(count_new)},
      {"_Znam", address(count_new)},
      {"_ZnwmSt11align_val_t", address(count_new_aligned)},
      {"_ZnamSt11align_val_t", address(count_new_aligned)},
      {"_ZnwmRKSt9nothrow_t", address(count_new_nothrow)},
      {"_ZnamRKSt9nothrow_t", address(count_new_nothrow)}};
  return all;
}

// The loader may have made the table of imports read-only.
void write_slot(void** slot, void* value) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  void* start = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(slot) / page * page);
  if (::mprotect(start, page, PROT_READ | PROT_WRITE) != 0)
    throw Error("E_INTERNAL", "the library's imports cannot be redirected");
  *slot = value;
}

}  // namespace

FailingMemory::FailingMemory(const void* code) {
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
      const auto hook = hooks().find(names + symbols[ELF64_R_SYM(relocation.r_info)].st_name);
      if (hook == hooks().end()) continue;
      write_slot(reinterpret_cast<void**>(map->l_addr + relocation.r_offset), hook->second);
    }
  };
  redirect(DT_JMPREL, DT_PLTRELSZ);
  redirect(DT_RELA, DT_RELASZ);
}

void FailingMemory::fail_after(int64_t n) {
  g_failed = false;
  g_left = n;
}

bool FailingMemory::stop() {
  g_left = kNever;
  return g_failed;
}

}  // namespace moecollab::conformance
