// Memory in large pages, given out piece by piece and given back as a whole.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "encoder/kernels.h"

namespace moecollab::encoder {

// Zero at first. Large pages, if the system has them, spare address translations, which cost
// weights that are read from end to end a few per cent.
class Arena {
 public:
  Arena() = default;
  explicit Arena(int64_t bytes) : size_(rounded_up(bytes, kPage)) {
    memory_.reset(std::aligned_alloc(kPage, static_cast<size_t>(size_)));
    if (!memory_) throw std::bad_alloc();
    ::madvise(memory_.get(), static_cast<size_t>(size_), MADV_HUGEPAGE);
    std::memset(memory_.get(), 0, static_cast<size_t>(size_));
  }

  int64_t size() const { return size_; }
  // What a piece takes up.
  static constexpr int64_t piece(int64_t bytes) { return rounded_up(bytes, kLine); }
  // Aligned to a cache line. Precondition: the pieces so far and this one fit.
  void* take(int64_t bytes) {
    void* at = static_cast<char*>(memory_.get()) + taken_;
    taken_ += piece(bytes);
    return at;
  }
  // All pieces again.
  void reset() { taken_ = 0; }

 private:
  static constexpr int64_t kPage = int64_t{2} << 20, kLine = 64;
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  int64_t size_ = 0, taken_ = 0;
};

}  // namespace moecollab::encoder
