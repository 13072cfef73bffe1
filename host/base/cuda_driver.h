// NVIDIA's driver and the GPUs that it offers this process, without any CUDA library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moecollab {

struct CudaDevice {
  std::string name;  // "NVIDIA H200"
  int64_t memory_bytes = 0;
  int capability = 0;  // compute capability, major and minor: 90 is 9.0
};

struct CudaDriver {
  std::string version;              // of CUDA that it supports, "13.0"; empty: no driver
  std::vector<CudaDevice> devices;  // those that CUDA_VISIBLE_DEVICES leaves
  std::string failure;              // why there is no device; empty if there is one
};

// Opens libcuda.so.1, which comes with the driver, by its C interface (CUDA Driver API). Never
// throws. The first call may take a second if there is a GPU; later ones give the same answer.
// Thread-safe.
const CudaDriver& cuda_driver();

}  // namespace moecollab
