// The most that this machine reaches, measured now: what a stage's speed is a share of.
//
// Both use all threads of LibTorch's pool at once and give the best of several runs, less
// than a second's together on a machine with nothing else to do.
#pragma once

#include <cstdint>
#include <map>

#include "base/compute.h"

namespace moecollab::encoder {

// GFLOP/s (2 operations per multiply-add, of integers too) of the encoder's own product
// (product.h) on operands that stay in the caches. Precondition: cpu_has(precision).
double peak_gflops(Precision precision);

// GB/s from one buffer of `bytes` to another; a copied byte counts once. `bytes` should be far
// beyond the caches.
double copy_gigabytes_per_second(int64_t bytes = int64_t{256} << 20);

// The best that was measured so far: another program may slow down one measurement.
class MachinePeak {
 public:
  // In each precision that this CPU multiplies, and of the memory.
  void measure();

  const std::map<Precision, double>& gflops() const { return gflops_; }
  double copy_gigabytes_per_second() const { return copy_; }

 private:
  std::map<Precision, double> gflops_;
  double copy_ = 0;
};

}  // namespace moecollab::encoder
