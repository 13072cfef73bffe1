#include "worker/memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace moecollab::worker {
namespace {

// Addresses, not memory: they make that a region grows without being moved.
constexpr uint64_t kReserved = uint64_t{32} << 30;
constexpr uint64_t kStep = uint64_t{1} << 20;  // by which the file grows
constexpr uint64_t kAlignment = 64;
constexpr uint64_t kLarge = uint64_t{64} << 20;  // whose pages are given back

[[noreturn]] void fail(const char* step) {
  throw Error("E_IPC", fmt::format("shared memory for an expert's process: {}: {}", step,
                                   std::strerror(errno)));
}

uint64_t rounded(uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

char* mapped(int descriptor, int protection) {
  void* base = ::mmap(nullptr, kReserved, protection, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  if (base == MAP_FAILED) fail("mmap");
  return static_cast<char*>(base);
}

}  // namespace

SharedMemory::SharedMemory(Writers writers) : writers_(writers) {
  descriptor_ = ::memfd_create("moecollab-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor_ < 0) fail("memfd_create");
  // One that became smaller would end whoever reads it.
  if (::fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) fail("fcntl");
  base_ = mapped(descriptor_, PROT_READ | PROT_WRITE);
}

SharedMemory::SharedMemory(int descriptor, Writers writers)
    : writers_(writers),
      base_(mapped(descriptor, writers == Writers::kBoth ? PROT_READ | PROT_WRITE : PROT_READ)) {
  ::close(descriptor);
}

SharedMemory::~SharedMemory() {
  if (base_ != nullptr) ::munmap(base_, kReserved);
  if (descriptor_ >= 0) ::close(descriptor_);
}

int SharedMemory::peer_descriptor() const {
  const int flags = writers_ == Writers::kBoth ? O_RDWR : O_RDONLY;
  const std::string path = fmt::format("/proc/self/fd/{}", descriptor_);
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0) fail("open");
  return descriptor;
}

uint64_t SharedMemory::allocate(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const uint64_t wanted = rounded(std::max<uint64_t>(bytes, 1), kAlignment);
  uint64_t place = 0;  // the first gap that is wide enough
  for (const auto& [offset, size] : taken_) {
    if (offset - place >= wanted) break;
    place = offset + size;
  }
  if (wanted > kReserved || place > kReserved - wanted) {
    throw Error(
        "E_IPC",
        fmt::format("an expert's process shares {} bytes already, and {} more are asked for", place,
                    wanted),
        "use smaller batches (--batch-tokens)");
  }
  if (place + wanted > size_) {
    const uint64_t size = rounded(place + wanted, kStep);
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail("ftruncate");
    size_ = size;
  }
  taken_.emplace(place, wanted);
  return place;
}

void SharedMemory::free(uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto block = taken_.find(offset);
  if (block->second >= kLarge) {
    ::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(block->second));
  }
  taken_.erase(block);
}

}  // namespace moecollab::worker
