// The kernels of kernels.h, for the instruction set that the including file is compiled for. It
// defines MOECOLLAB_KERNELS, the name of the table, and MOECOLLAB_KERNELS_NAME.
//
// Everything is in an anonymous namespace and nothing of the standard library's templates is used:
// an inline function that is compiled here with AVX-512 must not become the whole program's.
#include <cstring>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "encoder/kernels.h"

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

template <Activation kind>
Floats activated(const Floats& x) {
  if constexpr (kind == Activation::kNone) return x;
  if constexpr (kind == Activation::kGelu) return gelu(x);
  // 0.5·(1 + tanh(u)) is sigmoid(2u).
  if constexpr (kind == Activation::kGeluTanh)
    return x * sigmoid(1.59576912F * (x + 0.044715F * x * x * x));
  if constexpr (kind == Activation::kRelu) return greater(x, Floats{});
  if constexpr (kind == Activation::kSilu) return x * sigmoid(x);
}

Halves to_bf16(const Floats& x) {
  const Words w = bits(x);
  const Words rounded = (w + 0x7fffU + ((w >> 16) & 1U)) >> 16;
  return __builtin_convertvector(x == x ? rounded : (w >> 16) | 0x40U, Halves);
}

void add_residual(const Tile& tile, const float* bias, float* x, int64_t stride) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    for (int64_t c = 0; c < kTile; c += kLanes) {
      float* to = x + r * stride + c;
      store(load(to) + (load(tile.values + r * kTile + c) + load(bias + c)), to);
    }
  }
}

template <Activation kind>
void activate_as(const Tile& tile, const float* bias, Numbers numbers, void* out, int64_t stride) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    for (int64_t c = 0; c < kTile; c += kLanes) {
      const Floats y = activated<kind>(load(tile.values + r * kTile + c) + load(bias + c));
      if (numbers == Numbers::kBf16) {
        store(to_bf16(y), static_cast<uint16_t*>(out) + r * stride + c);
      } else {
        store(y, static_cast<float*>(out) + r * stride + c);
      }
    }
  }
}

void activate(Activation activation, const Tile& tile, const float* bias, Numbers numbers,
              void* out, int64_t stride) {
  switch (activation) {
    case Activation::kNone:
      return activate_as<Activation::kNone>(tile, bias, numbers, out, stride);
    case Activation::kGelu:
      return activate_as<Activation::kGelu>(tile, bias, numbers, out, stride);
    case Activation::kGeluTanh:
      return activate_as<Activation::kGeluTanh>(tile, bias, numbers, out, stride);
    case Activation::kRelu:
      return activate_as<Activation::kRelu>(tile, bias, numbers, out, stride);
    case Activation::kSilu:
      return activate_as<Activation::kSilu>(tile, bias, numbers, out, stride);
  }
}

void dequantise(const Tile& tile, const float* scales, const float* offsets,
                const float* column_scales, const float* column_sums) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    for (int64_t c = 0; c < kTile; c += kLanes) {
      float* at = tile.values + r * kTile + c;
      const Floats sum = __builtin_convertvector(load<Ints>(at), Floats);
      store(load(column_scales + c) * (scales[r] * sum + offsets[r] * load(column_sums + c)), at);
    }
  }
}

void convert_to_bf16(const float* x, int64_t width, uint16_t* out) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) store(to_bf16(load(x + c)), out + c);
  for (; c < width; ++c) out[c] = to_bf16(splat(x[c]))[0];
}

void convert_to_uint8(const float* x, int64_t width, uint8_t* out, float* scale, float* offset) {
  Floats least = splat(x[0]), greatest = least, poison = {};
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) {
    const Floats v = load(x + c);
    least = smaller(v, least);
    greatest = greater(v, greatest);
    poison += v * 0.0F;  // 0, or NaN for NaN and infinity
  }
  float low = reduced(least, Smaller{}), high = reduced(greatest, Greater{});
  float bad = reduced(poison, Add{});
  for (int64_t t = c; t < width; ++t) {
    low = Smaller{}(x[t], low);
    high = Greater{}(x[t], high);
    bad += x[t] * 0.0F;
  }
  const float range = high - low;
  const float inverse = range > 0 ? 255.0F / range : 0.0F;
  *scale = range / 255.0F + bad;
  *offset = low;
  // At most 255.5, so that truncation rounds to the nearest.
  const auto quantised = [&](const Floats& v) {
    return __builtin_convertvector(__builtin_convertvector((v - low) * inverse + 0.5F, Ints),
                                   Bytes);
  };
  for (c = 0; c + kLanes <= width; c += kLanes) store(quantised(load(x + c)), out + c);
  for (; c < width; ++c) out[c] = quantised(splat(x[c]))[0];
}

void convert_row(const float* x, int64_t row, int64_t width, const Operand& out) {
  if (out.numbers == Numbers::kBf16) {
    convert_to_bf16(x, width, static_cast<uint16_t*>(out.values) + row * out.stride);
  } else if (out.numbers == Numbers::kUint8) {
    convert_to_uint8(x, width, static_cast<uint8_t*>(out.values) + row * out.stride,
                     out.scales + row, out.offsets + row);
  }
}

void convert(const float* x, int64_t stride, int64_t rows, int64_t width, const Operand& out) {
  for (int64_t r = 0; r < rows; ++r) convert_row(x + r * stride, r, width, out);
}

void normalise_row(float* x, int64_t width, const float* weight, const float* bias, float eps) {
  Floats sums = {};
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) sums += load(x + c);
  float sum = reduced(sums, Add{});
  for (; c < width; ++c) sum += x[c];
  const float mean = sum / static_cast<float>(width);
  Floats squares = {};
  for (c = 0; c + kLanes <= width; c += kLanes) {
    const Floats d = load(x + c) - mean;
    squares += d * d;
  }
  float square = reduced(squares, Add{});
  for (; c < width; ++c) square += (x[c] - mean) * (x[c] - mean);
  const float scale = 1.0F / __builtin_sqrtf(square / static_cast<float>(width) + eps);
  for (c = 0; c + kLanes <= width; c += kLanes)
    store((load(x + c) - mean) * scale * load(weight + c) + load(bias + c), x + c);
  for (; c < width; ++c) x[c] = (x[c] - mean) * scale * weight[c] + bias[c];
}

void layer_norm(float* x, int64_t stride, int64_t rows, int64_t width, const float* weight,
                const float* bias, float eps, const Operand& out) {
  for (int64_t r = 0; r < rows; ++r) {
    normalise_row(x + r * stride, width, weight, bias, eps);
    convert_row(x + r * stride, r, width, out);
  }
}

// What a product of small matrices multiplies: float, or Pair of bfloat16.
struct Pair {
  uint32_t bits;  // the first in the lower half
};

void add_product(Floats& sum, float left, const void* right) { sum += splat(left) * load(right); }

// The sum of both products. Without the instruction for it, bfloat16 is the upper half of a
// float32.
void add_product(Floats& sum, Pair left, const void* right) {
  const Words l = Words{} + left.bits, r = load<Words>(right);
#ifdef __AVX512BF16__
  sum = reinterpret_cast<Floats>(_mm512_dpbf16_ps(
      reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(l), reinterpret_cast<__m512bh>(r)));
#else
  constexpr uint32_t kUpper = 0xffff0000U;
  sum += from_bits(l << 16) * from_bits(r << 16);
  sum += from_bits(l & kUpper) * from_bits(r & kUpper);
#endif
}

// out[R][C · kLanes] = a[R][depth] · b[depth][C · kLanes]
template <typename Number, int R, int C>
void multiply(const Number* a, int64_t a_stride, const Number* b, int64_t b_stride, int64_t depth,
              float* out, int64_t out_stride) {
  Floats sums[R][C] = {};
  for (int64_t p = 0; p < depth; ++p) {
    const Number* right = b + p * b_stride;
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const Number left = a[r * a_stride + p];
      for (int c = 0; c < C; ++c) add_product(sums[r][c], left, right + c * kLanes);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) store(sums[r][c], out + r * out_stride + c * kLanes);
  }
}

template <typename Number>
using Multiply = void (*)(const Number*, int64_t, const Number*, int64_t, int64_t, float*, int64_t);
template <typename Number, int C, int R = kTileRows>
Multiply<Number> multiply_of(int64_t rows) {
  if constexpr (R == 1) {
    return multiply<Number, 1, C>;
  } else {
    return rows == R ? multiply<Number, R, C> : multiply_of<Number, C, R - 1>(rows);
  }
}

// out[rows][columns] = a[rows][depth] · b[depth][columns] for rows <= kTileRows and columns that
// are a multiple of kLanes.
template <typename Number>
void multiply_rows(int64_t rows, int64_t columns, const Number* a, int64_t a_stride,
                   const Number* b, int64_t b_stride, int64_t depth, float* out,
                   int64_t out_stride) {
  const auto two = multiply_of<Number, 2>(rows), one = multiply_of<Number, 1>(rows);
  for (int64_t c = 0; c < columns; c += 2 * kLanes)
    (columns - c == kLanes ? one : two)(a, a_stride, b + c, b_stride, depth, out + c, out_stride);
}

void store_as(const Floats& v, float* to) { store(v, to); }
void store_as(const Floats& v, uint16_t* to) { store(to_bf16(v), to); }

// out = e^(scale · (score − the row's greatest)); gives 1 / their sum. The columns from `length`
// on, less than kLanes, count as −infinity.
template <typename Number>
float exponentiate(const float* scores, int64_t length, int64_t columns, float scale, Number* out) {
  const int64_t last = columns - kLanes;
  const Ints in_row = AllLanes::numbers() < static_cast<int32_t>(length - last);
  const Floats tail = in_row ? load(scores + last) : splat(-3.0e38F);
  Floats greatest = tail;
  for (int64_t c = 0; c < last; c += kLanes) greatest = greater(load(scores + c), greatest);
  const float most = reduced(greatest, Greater{}) * (scale * kLog2E);
  Floats sums = {};
  const auto add = [&](const Floats& score, Number* to) {
    const Floats e = power_of_two(score * (scale * kLog2E) - most);
    sums += e;
    store_as(e, to);
  };
  for (int64_t c = 0; c < last; c += kLanes) add(load(scores + c), out + c);
  add(tail, out + last);
  return 1.0F / reduced(sums, Add{});
}

// The transpose of a block of kLanes by kLanes numbers.
template <typename Number>
void transpose_block(const Number* from, int64_t from_stride, Number* to, int64_t to_stride) {
  Floats rows[kLanes], next[kLanes];
  for (int i = 0; i < kLanes; ++i) rows[i] = load(from + i * from_stride);
#pragma GCC unroll 4
  for (int round = 1; round < kLanes; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      next[2 * i] = AllLanes::interleaved<0>(rows[i], rows[i + kLanes / 2]);
      next[2 * i + 1] = AllLanes::interleaved<kLanes / 2>(rows[i], rows[i + kLanes / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
  for (int i = 0; i < kLanes; ++i) store(rows[i], to + i * to_stride);
}

// out [width, columns] = the transpose of x [length, width], of four bytes each, with some numbers
// in the columns from `length` on.
template <typename Number>
void transpose(const Number* x, int64_t stride, int64_t length, int64_t width, Number* out,
               int64_t columns) {
  static_assert(sizeof(Number) == sizeof(float));
  for (int64_t j = 0; j < length; j += kLanes) {
    int64_t p = 0;
    for (; p + kLanes <= width; p += kLanes)
      transpose_block(x + j * stride + p, stride, out + p * columns + j, columns);
    for (; p < width; ++p) {
      for (int64_t i = 0; i < kLanes; ++i) out[p * columns + j + i] = x[(j + i) * stride + p];
    }
  }
}

// out [length, wide] = x [length, width] with some numbers after each row.
void gather_values(const float* x, int64_t stride, int64_t length, int64_t wide, float* out) {
  for (int64_t j = 0; j < length; ++j) {
    for (int64_t c = 0; c < wide; c += kLanes) store(load(x + j * stride + c), out + j * wide + c);
  }
}

// The same of bfloat16, the rows 2j and 2j + 1 as pairs; 0 after the last.
void gather_values(const uint16_t* x, int64_t stride, int64_t length, int64_t wide, Pair* out) {
  for (int64_t j = 0; j < length; j += 2, out += wide) {
    for (int64_t c = 0; c < wide; c += kLanes) {
      const auto first = load<Halves>(x + j * stride + c);
      const auto second = j + 1 < length ? load<Halves>(x + (j + 1) * stride + c) : Halves{};
      store(__builtin_convertvector(first, Words) | __builtin_convertvector(second, Words) << 16,
            out + c);
    }
  }
}

// out = block · inverse for the first `width` of a row.
template <typename Number>
void store_scaled(const float* block, float inverse, int64_t width, Number* out) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) store_as(load(block + c) * inverse, out + c);
  if (c == width) return;
  Number rest[kLanes];
  store_as(load(block + c) * inverse, rest);
  std::memcpy(out + c, rest, static_cast<size_t>(width - c) * sizeof(Number));
}

// `Stored` is a number in memory, and `Number` what is multiplied: kTogether of them.
template <typename Stored, typename Number>
void attention_of(const Stored* q, const Stored* k, const Stored* v, int64_t stride, int64_t length,
                  int64_t width, Stored* out, int64_t out_stride, float* scratch) {
  constexpr int64_t kTogether = sizeof(Number) / sizeof(Stored);
  const int64_t columns = rounded_up(length, kLanes), wide = rounded_up(width, kLanes);
  const int64_t depth = width / kTogether, row_stride = stride / kTogether;
  const float scale = 1.0F / __builtin_sqrtf(static_cast<float>(width));
  auto* keys = reinterpret_cast<Number*>(scratch);           // [depth, columns]
  Number* values = keys + depth * columns;                   // [length / kTogether, wide]
  auto* scores = scratch + columns * width + length * wide;  // [kTileRows, columns]
  auto* shares = reinterpret_cast<Stored*>(scores + kTileRows * columns);  // the same
  float* block = scores + 2 * kTileRows * columns;                         // [kTileRows, wide]
  transpose(reinterpret_cast<const Number*>(k), row_stride, length, depth, keys, columns);
  gather_values(v, stride, length, wide, values);
  for (int64_t row = 0; row < length; row += kTileRows) {
    const int64_t rows = length - row < kTileRows ? length - row : kTileRows;
    multiply_rows(rows, columns, reinterpret_cast<const Number*>(q + row * stride), row_stride,
                  keys, columns, depth, scores, columns);
    float inverse[kTileRows];
    for (int64_t r = 0; r < rows; ++r)
      inverse[r] = exponentiate(scores + r * columns, length, columns, scale, shares + r * columns);
    multiply_rows(rows, wide, reinterpret_cast<const Number*>(shares), columns / kTogether, values,
                  wide, rounded_up(length, kTogether) / kTogether, block, wide);
    for (int64_t r = 0; r < rows; ++r)
      store_scaled(block + r * wide, inverse[r], width, out + (row + r) * out_stride);
  }
}

void attention(const float* q, const float* k, const float* v, int64_t stride, int64_t length,
               int64_t width, float* out, int64_t out_stride, float* scratch) {
  attention_of<float, float>(q, k, v, stride, length, width, out, out_stride, scratch);
}

void attention_bf16(const uint16_t* q, const uint16_t* k, const uint16_t* v, int64_t stride,
                    int64_t length, int64_t width, uint16_t* out, int64_t out_stride,
                    float* scratch) {
  attention_of<uint16_t, Pair>(q, k, v, stride, length, width, out, out_stride, scratch);
}

void mean(const float* x, int64_t stride, int64_t rows, int64_t width, float* out) {
  const float share = 1.0F / static_cast<float>(rows);
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) {
    Floats sum = {};
    for (int64_t r = 0; r < rows; ++r) sum += load(x + r * stride + c);
    store(sum * share, out + c);
  }
  for (; c < width; ++c) {
    float sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += x[r * stride + c];
    out[c] = sum * share;
  }
}

}  // namespace

extern const Kernels MOECOLLAB_KERNELS;
const Kernels MOECOLLAB_KERNELS = {
    MOECOLLAB_KERNELS_NAME, add_residual, activate, dequantise, convert, layer_norm, attention,
    attention_bf16,         mean};

}  // namespace moecollab::encoder
