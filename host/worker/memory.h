// Memory that the host and an expert's process both see.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

namespace moecollab::worker {

// A region at a fixed place of each process; the host alone gives it its size. Plain numbers and
// bytes lie in it, found by offsets that the host chose.
class SharedMemory {
 public:
  enum class Writers { kHost, kBoth };

  // The host's: an empty region. Throws E_IPC if the system gives none.
  explicit SharedMemory(Writers writers);
  // The other process's, from peer_descriptor(), which it closes.
  SharedMemory(int descriptor, Writers writers);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  char* at(uint64_t offset) const { return base_ + offset; }
  uint64_t offset_of(const void* place) const {
    return static_cast<uint64_t>(static_cast<const char*>(place) - base_);
  }
  // A descriptor for the other process, which cannot write by it what the host alone writes, nor
  // make the region smaller. The caller closes it.
  int peer_descriptor() const;

  // Room for `bytes` at a multiple of 64 bytes; its content is what was there before, or zeros.
  // Throws E_IPC if all of the region is taken. Thread-safe, as is free().
  uint64_t allocate(uint64_t bytes);
  // Large blocks give their pages back.
  void free(uint64_t offset);

 private:
  int descriptor_ = -1;
  Writers writers_;
  char* base_ = nullptr;
  uint64_t size_ = 0;  // of the file; the pages after it are reserved
  std::mutex mutex_;
  std::map<uint64_t, uint64_t> taken_;  // offset -> bytes
};

// A block of a region, freed with it.
class Block {
 public:
  Block(SharedMemory& memory, uint64_t bytes) : memory_(&memory), offset_(memory.allocate(bytes)) {}
  Block(Block&& other) noexcept : memory_(other.memory_), offset_(other.offset_) {
    other.memory_ = nullptr;
  }
  Block& operator=(Block&&) = delete;
  ~Block() {
    if (memory_ != nullptr) memory_->free(offset_);
  }
  uint64_t offset() const { return offset_; }
  char* data() const { return memory_->at(offset_); }

 private:
  SharedMemory* memory_;
  uint64_t offset_;
};

}  // namespace moecollab::worker
