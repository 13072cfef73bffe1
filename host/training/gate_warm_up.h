// The first fit of the gate in a process, on a GPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <thread>

namespace moecollab::training {

// A GPU loads a kernel at its first use, which costs a fit of the gate more than all its steps.
// This fits a made-up problem on the device in a thread of its own, while the host reads texts and
// asks experts; the destructor waits for it. Does nothing on the CPU, nor a second time. What goes
// wrong here is not said: the fit itself meets it again.
class GateWarmUp {
 public:
  GateWarmUp(at::Device device, int64_t features);
  ~GateWarmUp();
  GateWarmUp(const GateWarmUp&) = delete;
  GateWarmUp& operator=(const GateWarmUp&) = delete;

 private:
  std::thread thread_;
};

}  // namespace moecollab::training
