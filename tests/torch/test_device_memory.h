// The memory of the test device (test_device.h): addresses that nobody can use, and the bytes of
// the CPU that its kernels find for them.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>

namespace moecollab::testing {

inline const at::Device kTestDevice(at::kPrivateUse1, 0);
inline constexpr c10::DispatchKeySet kTestDeviceKeys(c10::DispatchKey::PrivateUse1);

// New memory is full of NaN (integers are -1).
c10::Allocator& test_device_allocator();

// A tensor of the CPU over the bytes of one of the device.
at::Tensor mirror_of(const at::Tensor& tensor);

// A tensor of the device that takes over the bytes of one of the CPU.
at::Tensor take_over(at::Tensor computed);

// Gives the storage of a tensor the bytes of its mirror, whose own storage grew.
void grow_to(const at::Tensor& mirror, const at::Tensor& tensor);

// Throws c10::Error unless memory of the device is at that address.
void check_test_address(const void* address);

}  // namespace moecollab::testing
