#include "dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <mutex>

namespace moecollab::deep_adapter {
namespace {

constexpr int64_t kGrain = 32768;

// out[i]: `kept` with a probability of 1 − threshold / 2³², else 0, for elements first … first + n.
// A counter-based generator: the finaliser of MurmurHash3 (Appleby 2011) over a Weyl sequence.
[[gnu::always_inline]] inline void fill(float* out, int64_t n, uint32_t first, uint32_t seed,
                                        uint32_t threshold, float kept) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t x = (first + static_cast<uint32_t>(i)) * 0x9E3779B9U + seed;
    x = (x ^ (x >> 16)) * 0x85EBCA6BU;
    x = (x ^ (x >> 13)) * 0xC2B2AE35U;
    x ^= x >> 16;
    out[i] = x < threshold ? 0.0F : kept;
  }
}

using Fill = void (*)(float*, int64_t, uint32_t, uint32_t, uint32_t, float);

void fill_for_any(float* out, int64_t n, uint32_t first, uint32_t seed, uint32_t threshold,
                  float kept) {
  fill(out, n, first, seed, threshold, kept);
}

// A choice at run time by hand: target_clones would need ifunc, which not every platform has.
#if defined(__x86_64__)
[[gnu::target("avx2"), gnu::optimize("O3")]] void fill_for_avx2(float* out, int64_t n,
                                                                uint32_t first, uint32_t seed,
                                                                uint32_t threshold, float kept) {
  fill(out, n, first, seed, threshold, kept);
}
Fill best_fill() { return __builtin_cpu_supports("avx2") ? fill_for_avx2 : fill_for_any; }
#else
Fill best_fill() { return fill_for_any; }
#endif

uint64_t drawn(at::Generator generator) {
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

// 0 for a share `p` of the elements, 1 / (1 − p) for the others.
at::Tensor mask(const at::Tensor& like, double p, const at::Generator& generator) {
  if (!like.is_cpu()) return at::empty_like(like).bernoulli_(1 - p, generator).div_(1 - p);
  static const Fill run = best_fill();
  at::Tensor found = at::empty(like.sizes(), at::kFloat);
  const uint64_t number = drawn(generator);
  const auto threshold = static_cast<uint32_t>(p * 0x1p32);
  const auto kept = static_cast<float>(1 / (1 - p));
  auto* out = found.mutable_data_ptr<float>();
  at::parallel_for(0, found.numel(), kGrain, [&](int64_t begin, int64_t end) {
    run(out + begin, end - begin,
        static_cast<uint32_t>(begin) + static_cast<uint32_t>(number >> 32),
        static_cast<uint32_t>(number), threshold, kept);
  });
  return found;
}

}  // namespace

at::Tensor add_dropped(const at::Tensor& x, const at::Tensor& branch, double p,
                       const at::Generator& generator) {
  const at::Tensor full = branch.to(at::kFloat);
  return p == 0 ? x + full : at::addcmul(x, full, mask(x, p, generator));
}

at::Tensor dropout(const at::Tensor& x, double p, const at::Generator& generator) {
  return p == 0 ? x : x * mask(x, p, generator);
}

}  // namespace moecollab::deep_adapter
