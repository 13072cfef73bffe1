// Attention of one sequence and head, for kernels_body.h.
#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "encoder/kernels.h"
#include "encoder/kernels_vectors.h"

namespace moecollab::encoder {
namespace {

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

}  // namespace
}  // namespace moecollab::encoder
