#include "conformance/failing_memory.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <new>
#include <string_view>

#include "conformance/redirected_imports.h"

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

const std::map<std::string_view, void*>& hooks() {
  static const std::map<std::string_view, void*> all = {
      {"malloc", address_of(count_malloc)},
      {"calloc", address_of(count_calloc)},
      {"realloc", address_of(count_realloc)},
      {"aligned_alloc", address_of(count_aligned_alloc)},
      {"posix_memalign", address_of(count_posix_memalign)},
      {"_Znwm", address_of(count_new)},
      {"_Znam", address_of(count_new)},
      {"_ZnwmSt11align_val_t", address_of(count_new_aligned)},
      {"_ZnamSt11align_val_t", address_of(count_new_aligned)},
      {"_ZnwmRKSt9nothrow_t", address_of(count_new_nothrow)},
      {"_ZnamRKSt9nothrow_t", address_of(count_new_nothrow)}};
  return all;
}

}  // namespace

FailingMemory::FailingMemory(const void* code) { redirect_imports(code, hooks()); }

void FailingMemory::fail_after(int64_t n) {
  g_failed = false;
  g_left = n;
}

bool FailingMemory::stop() {
  g_left = kNever;
  return g_failed;
}

}  // namespace moecollab::conformance
