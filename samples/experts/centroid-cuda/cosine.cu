#include <cuda_runtime.h>

#include <stdexcept>

#include "cosine.h"

namespace cuda {
namespace {

constexpr int kLanes = 32;  // of a warp
constexpr int kWarps = 8;   // of a block

__device__ float warp_sum(float value) {
  for (int offset = kLanes / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xffffffffU, value, offset);
  return value;
}

// A warp computes one logit, so a row's result never depends on the rows around it. A block is
// kLanes × kWarps threads.
__global__ void cosine_logits(const float* features, const float* directions, int64_t rows,
                              int64_t classes, int64_t width, float scale, float* logits) {
  const int64_t index = int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (index >= rows * classes) return;  // the whole warp leaves
  const float* x = features + index / classes * width;
  const float* direction = directions + index % classes * width;
  float product = 0, square = 0;
  for (int64_t i = threadIdx.x; i < width; i += kLanes) {
    product += x[i] * direction[i];
    square += x[i] * x[i];
  }
  product = warp_sum(product);
  square = warp_sum(square);
  if (threadIdx.x == 0) logits[index] = square > 0 ? scale * product / sqrtf(square) : 0;
}

void check(cudaError_t result, const char* call) {
  if (result == cudaSuccess) return;
  throw std::runtime_error(std::string(call) + " failed: " + cudaGetErrorString(result));
}

// Other libraries of the process may have chosen another device on this thread.
void use_device() { check(cudaSetDevice(0), "cudaSetDevice(0)"); }

// 13000 is 13.0.
std::string version_text(int version) {
  if (version == 0) return "none";
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::string why_no_device() {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaSuccess && count > 0) return "";
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  return std::string(result == cudaSuccess ? "none is visible" : cudaGetErrorString(result)) +
         " (driver: " + version_text(driver) + ", this library: CUDA " + version_text(runtime) +
         ")";
}

Buffer::~Buffer() { cudaFree(data_); }

float* Buffer::reserve(int64_t count) {
  if (count <= capacity_) return data_;
  cudaFree(data_);
  data_ = nullptr;
  capacity_ = 0;
  check(cudaMalloc(&data_, static_cast<size_t>(count) * sizeof(float)), "cudaMalloc()");
  capacity_ = count;
  return data_;
}

void Buffer::fill(const float* source, int64_t count) {
  check(cudaMemcpy(reserve(count), source, static_cast<size_t>(count) * sizeof(float),
                   cudaMemcpyHostToDevice),
        "cudaMemcpy() to the device");
}

void Cosines::set_directions(const float* directions, int64_t classes, int64_t width) {
  use_device();
  directions_.fill(directions, classes * width);
  classes_ = classes;
  width_ = width;
}

void Cosines::compute(const float* features, int64_t rows, float scale, float* logits) {
  use_device();
  const int64_t count = rows * classes_;
  features_.fill(features, rows * width_);
  float* out = logits_.reserve(count);
  const auto blocks = static_cast<unsigned>((count + kWarps - 1) / kWarps);
  cosine_logits<<<blocks, dim3(kLanes, kWarps)>>>(features_.data(), directions_.data(), rows,
                                                  classes_, width_, scale, out);
  check(cudaGetLastError(), "the kernel's launch");
  check(cudaMemcpy(logits, out, static_cast<size_t>(count) * sizeof(float), cudaMemcpyDeviceToHost),
        "cudaMemcpy() from the device");
}

}  // namespace cuda
