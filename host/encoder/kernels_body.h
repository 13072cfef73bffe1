// The kernels of kernels.h, for the instruction set that the including file is compiled for. It
// defines MOECOLLAB_KERNELS, the name of the table, and MOECOLLAB_KERNELS_NAME.
//
// Everything is in an anonymous namespace and nothing of the standard library's templates is used:
// an inline function that is compiled here with AVX-512 must not become the whole program's.
#include <cstring>

#include "encoder/kernels.h"
#include "encoder/kernels_attention.h"
#include "encoder/kernels_vectors.h"

namespace moecollab::encoder {
namespace {

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
