// The devices of a run as LibTorch's, and what of CUDA is here.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <string>

#include "base/compute.h"
#include "base/cuda_driver.h"

namespace moecollab::encoder {

// Tensors in the host's memory are there.
inline constexpr c10::DeviceType kHost = c10::DeviceType::CPU;

at::Device to_torch(Device device);

// Whether LibTorch computes on GPUs here.
struct CudaState {
  int devices = 0;      // that can be used
  std::string failure;  // all that is missing, if there is none
  std::string hint;     // how to get it
};

// Looks for a driver and opens LibTorch's CUDA library, which lies beside its CPU library and is
// opened by nothing else, so that one program serves machines with and without a GPU. The first
// call must come before anything asks at::hasCUDA(), whose answer LibTorch keeps. Thread-safe.
const CudaState& cuda_state();

// What the driver says of a GPU that can be used.
const CudaDevice& cuda_device(Device device);

// Throws E_CONFIG naming all that is missing, the devices that there are instead, or what the GPU
// is too old for.
void require_device(const Compute& compute);

// The same, and makes the device ready: it is this thread's current one, its first product is done,
// and products in fp16 and bf16 sum in float32. A thread that computes on another thread's tensors
// needs none of it.
void use_device(const Compute& compute);

// Whether LibTorch, or a library below it, says that the device has no memory left.
bool is_out_of_memory(const c10::Error& error);

// A tensor in the host's memory that copies to and from a GPU need not wait for: page-locked if the
// device is one.
at::Tensor staging_tensor(at::IntArrayRef shape, at::ScalarType type, at::Device device);
// A copy of it in such memory, which has arrived when the device's stream has come so far.
at::Tensor to_staging(const at::Tensor& on_device);

}  // namespace moecollab::encoder
