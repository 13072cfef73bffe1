// What the throw-away worker and its host say to each other: tensors lie in shared memory, a
// message at its start says what to call and where its tensors are, and a byte each way over a
// socket hands it over. Nothing else crosses.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include "plugin/loaded_library.h"

namespace moecollab::plugin_test {

enum class Op {
  create,
  parameter,
  bind,
  init,
  params_changed,
  forward,
  forward_train,
  vjp,
  release_saved,
  read_state,
  write_state,
  die
};

// A float32 tensor in the shared memory.
struct WireTensor {
  char name[32];
  int64_t offset, ndim, shape[2];
};

// What create() is given.
struct Creation {
  char library[1024];  // path
  char config[256];
  int32_t classes, pooling, hidden, layer_count, layers[4];
  uint32_t inputs;
};

// What is known of an expert that was made.
struct Made {
  int64_t flops_per_row, flops_per_token, flops_per_pair;
  uint64_t parameters, state_tensors;
  bool trainable;
};

// What params/1 says of a parameter beside name and shape.
struct ParameterRole {
  bool trainable, decay;
  float lr_scale;
};

// A call and its answer.
struct Message {
  Op op;
  uint64_t number;  // seed, index of a parameter or state tensor, or saved context
  Creation creation;
  Made made;
  ParameterRole role;
  int64_t texts, text_offset, text_sizes[8];
  int64_t tensor_count;
  WireTensor tensors[16];
  moec_status status;
  char error[512];
};

template <size_t N>
void copy_text(char (&to)[N], const std::string& text) {
  if (text.size() >= N) throw std::length_error("too long for the message: " + text);
  std::copy_n(text.c_str(), text.size() + 1, to);
}

// A file of the memory, mapped by the host and its worker; starts with the message.
class SharedMemory {
 public:
  SharedMemory() : SharedMemory(new_file()) {}
  explicit SharedMemory(int file)
      : file_(file),
        base_(
            static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0))) {
    if (base_ == MAP_FAILED) throw std::runtime_error("no shared memory");
  }
  ~SharedMemory() {
    munmap(base_, kSize);
    close(file_);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  int file() const { return file_; }
  Message& message() { return *reinterpret_cast<Message*>(base_); }
  char* at(int64_t offset) { return base_ + offset; }
  int64_t offset(const void* pointer) const { return static_cast<const char*>(pointer) - base_; }
  // Never given back: the tests need little.
  int64_t allocate(size_t bytes) {
    const size_t start = used_;
    used_ += (bytes + 63) / 64 * 64;
    if (used_ > kSize) throw std::runtime_error("the shared memory is full");
    return static_cast<int64_t>(start);
  }
  Floats floats(const std::vector<int64_t>& shape) {
    size_t size = sizeof(float);
    for (const int64_t extent : shape) size *= static_cast<size_t>(extent);
    return Floats(shape, reinterpret_cast<float*>(at(allocate(size))));
  }

 private:
  static constexpr size_t kSize = 16 << 20;

  static int new_file() {
    const int file = memfd_create("throwaway-worker", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, kSize) != 0) throw std::runtime_error("no shared memory");
    return file;
  }

  int file_;
  char* base_;
  size_t used_ = (sizeof(Message) + 63) / 64 * 64;
};

}  // namespace moecollab::plugin_test
