// Cosines on an NVIDIA GPU, without CUDA's headers.
#pragma once

#include <cstdint>
#include <string>

namespace cuda {

// Empty if this process can use a GPU, else why not, in the words of CUDA's runtime.
std::string why_no_device();

// Float32 on the device; freed with the object.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  // At least `count` elements; what was in them is lost if it grows.
  float* reserve(int64_t count);
  void fill(const float* source, int64_t count);
  const float* data() const { return data_; }

 private:
  float* data_ = nullptr;
  int64_t capacity_ = 0;
};

// Device buffers of one expert, kept from call to call. No two calls at once; any thread. Throws
// std::runtime_error with what CUDA says. Uses the first device: CUDA_VISIBLE_DEVICES chooses.
class Cosines {
 public:
  // directions [classes, width], each of length 1 or 0.
  void set_directions(const float* directions, int64_t classes, int64_t width);
  // logits [rows, classes] = scale · cosine of features [rows, width] and each direction; 0 if
  // either has no length. All in main memory.
  void compute(const float* features, int64_t rows, float scale, float* logits);

 private:
  int64_t classes_ = 0, width_ = 0;
  Buffer directions_, features_, logits_;
};

}  // namespace cuda
