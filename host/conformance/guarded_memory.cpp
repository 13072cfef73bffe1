#include "conformance/guarded_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

namespace moecollab::conformance {
namespace {

constexpr unsigned char kPattern = 0xA5;

std::vector<const GuardedMemory*>& living() {
  static auto& all = *new std::vector<const GuardedMemory*>();  // others die later
  return all;
}

size_t page() { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

GuardedMemory::GuardedMemory(std::string name, size_t size, size_t alignment, bool at_the_start)
    : name_(std::move(name)), size_(size) {
  const size_t aligned = (std::max<size_t>(size, 1) + alignment - 1) / alignment * alignment;
  span_ = (aligned + page() - 1) / page() * page();
  void* mapped = ::mmap(nullptr, span_ + 2 * page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  pages_ = static_cast<unsigned char*>(mapped) + page();
  if (::mprotect(pages_, span_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  std::memset(pages_, kPattern, span_);
  data_ = at_the_start ? pages_ : pages_ + span_ - aligned;
  living().push_back(this);
}

GuardedMemory::~GuardedMemory() {
  std::erase(living(), this);
  ::munmap(pages_ - page(), span_ + 2 * page());
}

void GuardedMemory::make_read_only() {
  ::mprotect(pages_, span_, PROT_READ);
  read_only_ = true;
}

void GuardedMemory::take_back() {
  // Fresh pages: a mapping that is gone would be given to others, who would be read instead.
  if (::mmap(pages_, span_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED)
    throw std::bad_alloc();
  taken_back_ = true;
}

std::string GuardedMemory::outside() const {
  for (const unsigned char* at = pages_; at < pages_ + span_; ++at) {
    if (at == data_) at += size_;
    if (at >= pages_ + span_) break;
    if (*at != kPattern) {
      return at < data_ ? fmt::format("{} bytes before the start of {}", data_ - at, name_)
                        : fmt::format("{} bytes past the end of {}",
                                      at - data_ - static_cast<ptrdiff_t>(size_) + 1, name_);
    }
  }
  return "";
}

std::string describe_address(const void* address) {
  const auto* at = static_cast<const unsigned char*>(address);
  for (const GuardedMemory* memory : living()) {
    const unsigned char *first = memory->data_, *end = first + memory->size_;
    if (at >= first && at < end) {
      const bool read_only = memory->read_only_ && !memory->taken_back_;
      std::string_view name = memory->name_;
      if (read_only && name.starts_with("the ")) name.remove_prefix(4);
      return fmt::format("at byte {} of {}{}{}", at - first, read_only ? "the read-only " : "",
                         name, memory->taken_back_ ? ", which is the host's again" : "");
    }
    if (at >= end && at < memory->pages_ + memory->span_ + page())
      return fmt::format("{} bytes past the end of {}", at - end + 1, memory->name_);
    if (at < first && at >= memory->pages_ - page())
      return fmt::format("{} bytes before the start of {}", first - at, memory->name_);
  }
  return "";
}

}  // namespace moecollab::conformance
