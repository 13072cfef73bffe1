#include "encoder/machine_peak.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/measure.h"
#include "encoder/parallel.h"
#include "encoder/product.h"

namespace moecollab::encoder {
namespace {

// A tile of rows and a tile of channels, which every thread multiplies again and again.
class Workload {
 public:
  Workload(Precision precision, int64_t depth)
      : depth_(depth),
        rows_(at::rand({kTile, depth})),
        converted_(static_cast<size_t>(kTile * depth)),
        scales_(kTile),
        offsets_(kTile),
        memory_(Arena::piece(Product::bytes(kTile, depth, precision))),
        product_(at::rand({kTile, depth}), at::zeros({kTile}), precision, kernels_, memory_),
        x_{numbers_of(precision), converted_.data(), depth, scales_.data(), offsets_.data()} {
    if (precision == Precision::kFp32) x_.values = rows_.mutable_data_ptr<float>();
    kernels_.convert(rows_.const_data_ptr<float>(), depth, kTile, depth, x_);
  }

  // On the calling thread.
  void multiply(int64_t times) const {
    alignas(64) float tile[kTile * kTile];
    for (int64_t i = 0; i < times; ++i) product_.multiply(x_, 0, 0, {tile, kTile});
    at::native::cpublas::brgemm_release();
  }
  double flops() const { return 2.0 * kTile * kTile * static_cast<double>(depth_); }

 private:
  const Kernels& kernels_ = *usable_kernels().front();
  int64_t depth_;
  at::Tensor rows_;
  std::vector<uint16_t> converted_;
  std::vector<float> scales_, offsets_;
  Arena memory_;
  Product product_;
  Operand x_;
};

}  // namespace

double peak_gflops(Precision precision) {
  constexpr int kRuns = 12;
  constexpr double kRunSeconds = 0.005;  // far longer than waking the threads
  const int64_t shares = 4 * at::get_num_threads();
  double best = 0;
  // A tile's overhead counts less the deeper it is, and the caches of some CPUs are small.
  for (const int64_t depth : {int64_t{256}, int64_t{512}, int64_t{1024}}) {
    const Workload workload(precision, depth);
    const auto seconds_of = [&](int runs, int64_t times) {
      const auto on_all_threads = [&] {
        for_each_in_parallel(shares, [&](int64_t) { workload.multiply(times); });
      };
      on_all_threads();
      return least_seconds(runs, on_all_threads);
    };
    constexpr int64_t kProbe = 8;
    const auto times =
        std::max<int64_t>(kProbe, std::llround(kProbe * kRunSeconds / seconds_of(3, kProbe)));
    const double flops = workload.flops() * static_cast<double>(shares * times);
    best = std::max(best, flops / seconds_of(kRuns, times) / 1e9);
  }
  return best;
}

double copy_gigabytes_per_second(int64_t bytes) {
  constexpr int kRuns = 5;
  std::vector<char> from(static_cast<size_t>(bytes), 1), to(static_cast<size_t>(bytes));
  const int64_t threads = at::get_num_threads();
  const auto copy = [&] {
    for_each_in_parallel(threads, [&](int64_t thread) {
      const int64_t begin = bytes * thread / threads, end = bytes * (thread + 1) / threads;
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
    });
  };
  copy();
  const double seconds = least_seconds(kRuns, copy);
  return static_cast<double>(bytes) / seconds / 1e9;
}

void MachinePeak::measure() {
  for (const Precision precision : usable_precisions()) {
    double& best = gflops_[precision];
    best = std::max(best, peak_gflops(precision));
  }
  copy_ = std::max(copy_, encoder::copy_gigabytes_per_second());
}

}  // namespace moecollab::encoder
