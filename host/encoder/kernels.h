// What a BERT layer does besides products, on rows of float32, for the vector units of this CPU.
//
// Torch-free. The same source is compiled per instruction set (kernels_body.h), and the best that
// this CPU has is taken once; each gives the same bits on every CPU that has it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace moecollab::encoder {

// The rows and columns of a product that are computed together.
inline constexpr int64_t kTile = 64;
constexpr int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
constexpr int64_t whole_tiles(int64_t n) { return rounded_up(n, kTile); }

// How far attention reads after its last row, or number: the widest vector.
inline constexpr int64_t kReadBeyond = 16;

// Numbers of a product's left side.
enum class Numbers { kFp32, kBf16, kUint8 };

constexpr int64_t size_of(Numbers numbers) {
  return numbers == Numbers::kFp32 ? 4 : numbers == Numbers::kBf16 ? 2 : 1;
}

// Rows that a product reads, [rows, stride] of `numbers`, the columns from the width on being 0.
// uint8: row r stands for scales[r] · value + offsets[r].
struct Operand {
  Numbers numbers = Numbers::kFp32;
  void* values = nullptr;
  int64_t stride = 0;
  float* scales = nullptr;
  float* offsets = nullptr;

  void* at(int64_t row, int64_t column) const {
    return static_cast<char*>(values) + (row * stride + column) * size_of(numbers);
  }
  // The rows from that one on.
  Operand from(int64_t row) const {
    return {numbers, at(row, 0), stride, scales == nullptr ? nullptr : scales + row,
            offsets == nullptr ? nullptr : offsets + row};
  }
};

// A result of a product, [rows, kTile] without gaps.
struct Tile {
  float* values = nullptr;
  int64_t rows = 0;
};

enum class Activation { kNone, kGelu, kGeluTanh, kRelu, kSilu };    // gelu: with erf
std::optional<Activation> parse_activation(std::string_view name);  // as BertConfig names them

// Strides are in elements and at least the width, rounded up to whole tiles. Buffers do not
// overlap.
struct Kernels {
  std::string_view name;  // avx512_bf16, avx512, avx2 or portable

  // x += tile + bias, [rows, kTile].
  void (*add_residual)(const Tile& tile, const float* bias, float* x, int64_t stride);
  // out = activation(tile + bias) as float32 or bfloat16 (round to nearest even).
  void (*activate)(Activation activation, const Tile& tile, const float* bias, Numbers numbers,
                   void* out, int64_t stride);
  // From int32 sums of products of uint8 rows with int8 columns, in place, to what they stand for:
  // column_scales[c] · (scales[r] · sum + offsets[r] · column_sums[c]).
  void (*dequantise)(const Tile& tile, const float* scales, const float* offsets,
                     const float* column_scales, const float* column_sums);

  // Rows [rows, width] as a product reads them; nothing for float32, which it reads as it is. uint8
  // spreads each row's least to greatest value over 0 to 255; a row with NaN or infinity gets NaN
  // as its scale.
  void (*convert)(const float* x, int64_t stride, int64_t rows, int64_t width, const Operand& out);
  // x = (x − mean) / √(variance + eps) · weight + bias per row, in place, and convert(x, out).
  void (*layer_norm)(float* x, int64_t stride, int64_t rows, int64_t width, const float* weight,
                     const float* bias, float eps, const Operand& out);

  // softmax(q·kᵀ/√w)·v of one sequence and head. q, k, v: [length, w] at stride `stride`; out the
  // same at `out_stride`. `scratch`: attention_scratch(length, w) floats. Reads, without effect on
  // the result, up to kReadBeyond rows after k's last and numbers after v's.
  void (*attention)(const float* q, const float* k, const float* v, int64_t stride, int64_t length,
                    int64_t width, float* out, int64_t out_stride, float* scratch);
  // The same of bfloat16, for an even w: products of bfloat16 numbers (e^score too), float32 sums.
  void (*attention_bf16)(const uint16_t* q, const uint16_t* k, const uint16_t* v, int64_t stride,
                         int64_t length, int64_t width, uint16_t* out, int64_t out_stride,
                         float* scratch);

  // out = sum of the rows / rows, [width].
  void (*mean)(const float* x, int64_t stride, int64_t rows, int64_t width, float* out);
};

int64_t attention_scratch(int64_t length, int64_t width);

// Those that this CPU can run, the best first; the last is portable.
std::span<const Kernels* const> usable_kernels();

}  // namespace moecollab::encoder
