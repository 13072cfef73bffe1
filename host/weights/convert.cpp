#include "weights/convert.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "base/error.h"
#include "weights/refusal.h"

namespace moecollab::weights {
namespace {

template <typename Bits>
Bits load(std::span<const std::byte> data, size_t index) {
  Bits value;
  std::memcpy(&value, data.data() + index * sizeof(Bits), sizeof(Bits));
  return value;
}

float from_bf16(uint16_t value) { return std::bit_cast<float>(uint32_t{value} << 16); }

// IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
float from_f16(uint16_t value) {
  const uint32_t sign = (uint32_t{value} & 0x8000u) << 16;
  const uint32_t magnitude = uint32_t{value} & 0x7FFFu;
  if (magnitude >= 0x7C00u) return std::bit_cast<float>(sign | 0x7F800000u | (magnitude << 13));
  // With the exponent field in place but biased by 15, the number is 2^-112 of what it should be;
  // the product is exact and turns subnormal halves into normal floats.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
}

// The values v of a dtype with (v & mask) == pattern are not finite.
struct NonFinite {
  uint64_t mask;
  uint64_t pattern;
};

// Nothing for dtypes whose every value is finite.
std::optional<NonFinite> nonfinite_values(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return NonFinite{0x7C00, 0x7C00};
    case DType::kBF16:
      return NonFinite{0x7F80, 0x7F80};
    case DType::kF32:
    case DType::kC64:
      return NonFinite{0x7F800000, 0x7F800000};
    case DType::kF64:
      return NonFinite{0x7FF0000000000000, 0x7FF0000000000000};
    case DType::kF8E5M2:
      return NonFinite{0x7C, 0x7C};
    case DType::kF8E4M3:
      return NonFinite{0x7F, 0x7F};
    case DType::kF8E8M0:
      return NonFinite{0xFF, 0xFF};
    case DType::kF8E4M3FNUZ:
    case DType::kF8E5M2FNUZ:
      return NonFinite{0xFF, 0x80};
    default:
      return std::nullopt;
  }
}

template <typename Bits>
std::optional<size_t> find_value(std::span<const std::byte> data, NonFinite values) {
  const auto mask = static_cast<Bits>(values.mask);
  const auto pattern = static_cast<Bits>(values.pattern);
  const size_t count = data.size() / sizeof(Bits);
  for (size_t i = 0; i < count; ++i) {
    if ((load<Bits>(data, i) & mask) == pattern) return i;
  }
  return std::nullopt;
}

}  // namespace

void copy_f32(const TensorView& tensor, std::span<float> out) {
  const size_t count = tensor.data.size() * 8 / bits(tensor.dtype);
  if (out.size() != count) {
    throw std::logic_error(fmt::format("copy_f32: tensor `{}` has {} elements, the output {}",
                                       shown(tensor.name), count, out.size()));
  }
  switch (tensor.dtype) {
    case DType::kF32:
      if (count > 0) std::memcpy(out.data(), tensor.data.data(), tensor.data.size());
      return;
    case DType::kF16:
      for (size_t i = 0; i < count; ++i) out[i] = from_f16(load<uint16_t>(tensor.data, i));
      return;
    case DType::kBF16:
      for (size_t i = 0; i < count; ++i) out[i] = from_bf16(load<uint16_t>(tensor.data, i));
      return;
    default:
      throw Error("E_ST_DTYPE",
                  fmt::format("tensor `{}` has dtype {}, which is unsupported for weights",
                              shown(tensor.name), name(tensor.dtype)),
                  "convert it to F32, F16 or BF16");
  }
}

std::vector<float> to_f32(const TensorView& tensor) {
  std::vector<float> values(tensor.data.size() * 8 / bits(tensor.dtype));
  copy_f32(tensor, values);
  return values;
}

std::optional<size_t> first_nonfinite(const TensorView& tensor) {
  const auto values = nonfinite_values(tensor.dtype);
  if (!values) return std::nullopt;
  if (tensor.dtype == DType::kC64) {
    const auto part = find_value<uint32_t>(tensor.data, *values);
    return part ? std::optional(*part / 2) : std::nullopt;
  }
  switch (bits(tensor.dtype)) {
    case 8:
      return find_value<uint8_t>(tensor.data, *values);
    case 16:
      return find_value<uint16_t>(tensor.data, *values);
    case 32:
      return find_value<uint32_t>(tensor.data, *values);
    default:
      return find_value<uint64_t>(tensor.data, *values);
  }
}

}  // namespace moecollab::weights
