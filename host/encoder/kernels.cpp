#include "encoder/kernels.h"

#include <vector>

namespace moecollab::encoder {

#if defined(__x86_64__)
extern const Kernels kAvx512Bf16Kernels, kAvx512Kernels, kAvx2Kernels;
#endif
extern const Kernels kPortableKernels;

namespace {

constexpr int64_t kMostLanes = 16, kMostTileRows = 12;

std::vector<const Kernels*> find_usable() {
  std::vector<const Kernels*> usable;
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 =
      avx2 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  if (avx512 && __builtin_cpu_supports("avx512bf16") != 0) usable.push_back(&kAvx512Bf16Kernels);
  if (avx512) usable.push_back(&kAvx512Kernels);
  if (avx2) usable.push_back(&kAvx2Kernels);
#endif
  usable.push_back(&kPortableKernels);
  return usable;
}

}  // namespace

std::optional<Activation> parse_activation(std::string_view name) {
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_tanh") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  if (name == "silu") return Activation::kSilu;
  return std::nullopt;
}

int64_t attention_scratch(int64_t length, int64_t width) {
  const int64_t columns = rounded_up(length, kMostLanes), wide = rounded_up(width, kMostLanes);
  return columns * width + length * wide + kMostTileRows * (2 * columns + wide);
}

std::span<const Kernels* const> usable_kernels() {
  static const std::vector<const Kernels*> usable = find_usable();
  return usable;
}

}  // namespace moecollab::encoder
