#include "encoder/device.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"

namespace moecollab::encoder {
namespace {

constexpr const char* kLibrary = "libtorch_cuda.so";
// Compute capabilities: of LibTorch's kernels, and of its flash attention.
constexpr int kOldest = 75, kOldestInHalf = 80;
constexpr const char* kSetUp = "`make setup CUDA=1` adds LibTorch's CUDA libraries";

// The folder of the LibTorch that this process runs with.
fs::path torch_folder() {
  Dl_info found{};
  if (::dladdr(reinterpret_cast<const void*>(&at::globalContext), &found) == 0 ||
      found.dli_fname == nullptr) {
    return {};
  }
  return fs::path(found.dli_fname).parent_path();
}

// Why LibTorch's CUDA library cannot be used; empty if it can.
std::string open_library() {
  const fs::path library = torch_folder() / kLibrary;
  if (::dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) return "";
  const char* reason = ::dlerror();
  return fmt::format("{} cannot be opened ({})", kLibrary,
                     reason == nullptr ? "no reason given" : escaped(reason, 300));
}

CudaState look() {
  CudaState state;
  const CudaDriver& driver = cuda_driver();
  const std::string library = open_library();
  if (!driver.failure.empty()) {
    state.failure = driver.failure;
    state.hint = "a machine with a GPU and NVIDIA's driver is needed";
  }
  if (!library.empty()) {
    state.failure += (state.failure.empty() ? "" : "; ") + library;
    state.hint += (state.hint.empty() ? "" : "; ") + std::string(kSetUp);
  }
  if (!state.failure.empty()) return state;
  state.devices = at::detail::getCUDAHooks().deviceCount();
  if (state.devices > 0) return state;
  state.failure = fmt::format("LibTorch's CUDA finds no device, though the driver (CUDA {}) has {}",
                              driver.version, driver.devices.size());
  state.hint = "an older driver than LibTorch's CUDA needs is the usual reason";
  return state;
}

}  // namespace

at::Device to_torch(Device device) {
  const auto index = static_cast<c10::DeviceIndex>(device.index);
  switch (device.type) {
    case DeviceType::kCpu:
      break;
    case DeviceType::kCuda:
      return {at::kCUDA, index};
    case DeviceType::kPrivateUse1:
      return {at::kPrivateUse1, index};
  }
  return kHost;
}

const CudaState& cuda_state() {
  static const CudaState state = look();
  return state;
}

const CudaDevice& cuda_device(Device device) {
  return cuda_driver().devices.at(static_cast<size_t>(device.index));
}

void require_device(const Compute& compute) {
  const Device device = compute.device;
  if (device.type != DeviceType::kCuda) return;
  const CudaState& state = cuda_state();
  if (state.devices == 0) {
    throw Error("E_CONFIG", fmt::format("{} cannot be used: {}", name(device), state.failure),
                state.hint + "; or use --device cpu");
  }
  if (device.index >= state.devices) {
    const std::string last = name(Device{DeviceType::kCuda, state.devices - 1});
    throw Error("E_CONFIG",
                fmt::format("{} is not here: this process may use {} GPU{}, {}", name(device),
                            state.devices, state.devices == 1 ? "" : "s",
                            state.devices == 1 ? last : "cuda:0 to " + last),
                "name one of these, or set CUDA_VISIBLE_DEVICES");
  }
  const CudaDevice& gpu = cuda_device(device);
  const int least = compute.precision == Precision::kFp32 ? kOldest : kOldestInHalf;
  if (gpu.capability >= least) return;
  throw Error("E_CONFIG",
              fmt::format("{} ({}) has compute capability {}.{}; {} needs {}.{}", name(device),
                          gpu.name, gpu.capability / 10, gpu.capability % 10,
                          name(compute.precision), least / 10, least % 10),
              gpu.capability >= kOldest ? "use --precision fp32" : "use --device cpu");
}

void use_device(const Compute& compute) {
  require_device(compute);
  if (compute.device.type != DeviceType::kCuda) return;
  const at::Device device = to_torch(compute.device);
  try {
    c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
    at::globalContext().setAllowFP16ReductionCuBLAS(false);
    at::globalContext().setAllowBF16ReductionCuBLAS(false);
    const at::Tensor ones = at::ones({8, 8}, at::TensorOptions(device));
    at::mm(ones, ones).sum().item<float>();
  } catch (const c10::Error& error) {
    throw Error("E_CONFIG",
                fmt::format("{} does not compute: {}", name(compute.device),
                            escaped(error.what_without_backtrace(), 300)),
                "end what else uses it, or use --device cpu");
  }
}

bool is_out_of_memory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  const std::string_view text = error.what_without_backtrace();
  return text.find("out of memory") != std::string_view::npos ||
         text.find("ALLOC_FAILED") != std::string_view::npos;
}

at::Tensor staging_tensor(at::IntArrayRef shape, at::ScalarType type, at::Device device) {
  return at::empty(shape, at::TensorOptions(type).pinned_memory(device.is_cuda()));
}

at::Tensor to_staging(const at::Tensor& on_device) {
  at::Tensor copy = staging_tensor(on_device.sizes(), on_device.scalar_type(), on_device.device());
  return copy.copy_(on_device, /*non_blocking=*/true);
}

}  // namespace moecollab::encoder
