// A device for tests: what is meant for GPUs runs on it, on machines that have none.
//
// Its tensors are of type at::kPrivateUse1, which prints as "testdev". The CPU's kernels compute
// every operator, so results have the CPU's bits. What goes wrong on a GPU goes wrong here too:
// - The host cannot read or write the memory of the device. The address of a tensor lies in pages
//   without access: a host that uses it gets SIGSEGV at that line. New memory is full of NaN.
// - An operator whose tensors are not all on the device throws a c10::Error that names the operator
//   and the argument. As on CUDA, elementwise operators take numbers (tensors without dimensions)
//   from the CPU, and index() and index_put_() take indices from there, which are copied.
// - Random numbers come from generators of the device. One of the CPU is refused.
// - backward() computes in a thread of the device.
// A kernel of the CPU that is asked for by its own name (at::native, at::cpu) does not know the
// device. There is one stream, whose events have always come; there is no pinned memory, no sparse
// or quantized tensors. Thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace moecollab::testing {

// Registers the device, once per process. From then on at::Device(at::kPrivateUse1, 0), which is
// returned, can be used wherever a device can.
at::Device use_test_device();

struct DeviceCounts {
  int64_t copies_to_device = 0, bytes_to_device = 0;
  int64_t copies_to_host = 0, bytes_to_host = 0;
  // Answers that are no tensors, for which a host waits: item(), equal().
  int64_t values_read = 0;
  // Kernels by operator, as in {"aten::mm", 2}. Views are none.
  std::map<std::string, int64_t> calls;

  int64_t all_calls() const;
};

// What the device did since the last reset, in all threads.
DeviceCounts device_counts();
void reset_device_counts();

// Bytes that tensors of the device take now.
int64_t test_device_memory_used();
// From now on more than that many throw c10::OutOfMemoryError; none: any number does.
void set_test_device_memory(std::optional<int64_t> bytes);

}  // namespace moecollab::testing
