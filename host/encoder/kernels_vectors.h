// Vectors of the width of the instruction set that the including file is compiled for, and
// functions of them. In an anonymous namespace, as all of kernels_body.h.
#pragma once

#include <cstdint>
#include <cstring>

namespace moecollab::encoder {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kTileRows = 12;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kTileRows = 6;
#else
constexpr int kLanes = 4, kTileRows = 6;
#endif
// kTileRows rows of two vectors each are what the registers hold.

using Floats [[gnu::vector_size(kLanes * 4)]] = float;
using Ints [[gnu::vector_size(kLanes * 4)]] = int32_t;
using Words [[gnu::vector_size(kLanes * 4)]] = uint32_t;
using Halves [[gnu::vector_size(kLanes * 2)]] = uint16_t;
using Bytes [[gnu::vector_size(kLanes)]] = uint8_t;

template <typename Vector = Floats>
Vector load(const void* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <typename Vector>
void store(const Vector& v, void* to) {
  std::memcpy(to, &v, sizeof v);
}
Floats splat(float x) { return Floats{} + x; }
Floats greater(const Floats& a, const Floats& b) { return a > b ? a : b; }
Floats smaller(const Floats& a, const Floats& b) { return a < b ? a : b; }
Words bits(const Floats& x) {
  Words w;
  std::memcpy(&w, &x, sizeof w);
  return w;
}
Floats from_bits(const Words& w) {
  Floats x;
  std::memcpy(&x, &w, sizeof x);
  return x;
}

struct Add {
  template <typename T>
  T operator()(const T& a, const T& b) const {
    return a + b;
  }
};
struct Greater {
  template <typename T>
  T operator()(const T& a, const T& b) const {
    return a > b ? a : b;
  }
};
struct Smaller {
  template <typename T>
  T operator()(const T& a, const T& b) const {
    return a < b ? a : b;
  }
};

template <int... I>
struct Lanes {
  static Ints numbers() { return Ints{I...}; }
  // Lane i of the result is lane (i + by) of v, around the end.
  template <int by>
  static Floats rotated(const Floats& v) {
    return __builtin_shufflevector(v, v, ((I + by) % kLanes)...);
  }
  // The lanes from `first` on of a and b in turn, kLanes / 2 of each.
  template <int first>
  static Floats interleaved(const Floats& a, const Floats& b) {
    return __builtin_shufflevector(a, b, (first + I / 2 + I % 2 * kLanes)...);
  }
};
template <int n, int... I>
struct CountedLanes : CountedLanes<n - 1, n - 1, I...> {};
template <int... I>
struct CountedLanes<0, I...> {
  using Type = Lanes<I...>;
};
using AllLanes = CountedLanes<kLanes>::Type;

// All lanes as one, in a fixed order.
template <typename Fold, int by = kLanes / 2>
float reduced(const Floats& v, Fold fold) {
  const Floats folded = fold(v, AllLanes::rotated<by>(v));
  if constexpr (by == 1) {
    return folded[0];
  } else {
    return reduced<Fold, by / 2>(folded, fold);
  }
}

// 2^x as 2^n · 2^r with n an integer, |r| <= 1/2, and 2^r by its series. Relative error 3e-7; below
// −126 it is 2^−126. Precondition: x < 127.
Floats power_of_two(Floats x) {
  constexpr float kShift = 12582912.0F;  // 1.5 · 2^23: adding it rounds to an integer
  x = greater(x, splat(-126.0F));
  const Floats shifted = x + kShift;
  const Floats r = x - (shifted - kShift);
  Floats y = splat(1.540353e-4F);  // (ln 2)^k / k! for k = 6 to 0
  y = y * r + 1.333355815e-3F;
  y = y * r + 9.618129108e-3F;
  y = y * r + 5.550410866e-2F;
  y = y * r + 0.2402265070F;
  y = y * r + 0.6931471806F;
  y = y * r + 1.0F;
  return from_bits(bits(y) + (bits(shifted) << 23));
}

constexpr float kLog2E = 1.44269504F;
Floats exponential(const Floats& x) { return power_of_two(x * kLog2E); }

// Abramowitz and Stegun 7.1.28: 1 − erf(z) for z >= 0 is 1 / (1 + a1·z + … + a6·z^6)^16 (absolute
// error 3e-7). No exponential is needed, and for large z the power is infinite and the rest 0.
Floats gelu(const Floats& x) {
  const Floats z = from_bits(bits(x) & 0x7fffffffU) * 0.70710678F;
  Floats y = splat(0.0000430638F);
  y = y * z + 0.0002765672F;
  y = y * z + 0.0001520143F;
  y = y * z + 0.0092705272F;
  y = y * z + 0.0422820123F;
  y = y * z + 0.0705230784F;
  y = y * z + 1.0F;
  y *= y;
  y *= y;
  y *= y;
  y *= y;
  const Floats half = 0.5F * x, rest = half / y;  // x/2 · (1 − erf(|x|/√2))
  return x > 0.0F ? x - rest : rest;
}

Floats sigmoid(const Floats& x) { return 1.0F / (1.0F + exponential(smaller(-x, splat(87.0F)))); }

Halves to_bf16(const Floats& x) {
  const Words w = bits(x);
  const Words rounded = (w + 0x7fffU + ((w >> 16) & 1U)) >> 16;
  return __builtin_convertvector(x == x ? rounded : (w >> 16) | 0x40U, Halves);
}

}  // namespace
}  // namespace moecollab::encoder
