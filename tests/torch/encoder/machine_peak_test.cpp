// What a machine reaches at best; the figures are its own.
#include "encoder/machine_peak.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "base/measure.h"

namespace moecollab::encoder {
namespace {

// No thread of any CPU that is built does less, or more, for a product that is made as the encoder
// makes it: AVX2 reaches tens of GFLOP/s, AVX-512's int8 and AMX thousands.
TEST(MachinePeak, IsPlausibleInEachPrecisionOfThisCpu) {
  for (const Precision precision : usable_precisions()) {
    const double peak = peak_gflops(precision);
    EXPECT_GT(peak, 1.0) << name(precision);
    EXPECT_LT(peak, 20e3 * at::get_num_threads()) << name(precision);
  }
}

TEST(MachinePeak, IsAboveWhatAPlainProductOfLibTorchReaches) {
  const at::Tensor x = at::rand({512, 384}), w = at::rand({384, 384});
  at::linear(x, w);
  const Stopwatch watch;
  for (int i = 0; i < 20; ++i) at::linear(x, w);
  const double plain = 20 * 2.0 * 512 * 384 * 384 / watch.seconds() / 1e9;
  EXPECT_GT(peak_gflops(Precision::kFp32), 0.8 * plain);
}

TEST(MachinePeak, CopiesAllBytes) {
  const double small = copy_gigabytes_per_second(int64_t{1} << 20);
  EXPECT_GT(small, 0.1);
  EXPECT_LT(small, 1e4);
}

}  // namespace
}  // namespace moecollab::encoder
