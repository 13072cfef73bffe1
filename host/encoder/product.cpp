#include "encoder/product.h"

#include <ATen/native/CPUBlas.h>

#include <stdexcept>

namespace moecollab::encoder {
namespace {

// How many neighbours along the depth one instruction multiplies: they lie together in four bytes.
int64_t group_of(Precision precision) { return 4 / size_of(numbers_of(precision)); }

std::vector<float> vector_of(const at::Tensor& tensor) {
  const float* values = tensor.const_data_ptr<float>();
  return {values, values + tensor.numel()};
}

}  // namespace

Numbers numbers_of(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return Numbers::kFp32;
    case Precision::kBf16:
      return Numbers::kBf16;
    case Precision::kInt8:
      return Numbers::kUint8;
    case Precision::kFp16:
      break;
  }
  throw std::logic_error("numbers_of: no CPU kernel takes fp16");
}

Product::Product(const at::Tensor& weight, const at::Tensor& bias, Precision precision,
                 const Kernels& kernels, Arena& memory)
    : precision_(precision),
      kernels_(kernels),
      depth_(rounded_up(weight.size(1), group_of(precision))),
      tiles_(whole_tiles(weight.size(0)) / kTile),
      packed_(memory.take(bytes(weight.size(0), weight.size(1), precision))) {
  const int64_t missing = tiles_ * kTile - weight.size(0);
  bias_ = vector_of(at::constant_pad_nd(bias, {0, missing}));
  const at::Tensor whole = at::constant_pad_nd(weight, {0, depth_ - weight.size(1), 0, missing});
  if (precision == Precision::kInt8) {
    quantise(whole);
  } else {
    pack(precision == Precision::kBf16 ? whole.to(at::kBFloat16) : whole);
  }
}

int64_t Product::bytes(int64_t out, int64_t in, Precision precision) {
  return whole_tiles(out) * rounded_up(in, group_of(precision)) * size_of(numbers_of(precision));
}

void Product::pack(const at::Tensor& weight) {
  const int64_t group = group_of(precision_);
  at::from_blob(packed_, {tiles_, depth_ / group, kTile, group}, weight.options())
      .copy_(weight.view({tiles_, kTile, depth_ / group, group}).permute({0, 2, 1, 3}));
}

void Product::quantise(const at::Tensor& weight) {
  const at::Tensor scales = weight.abs().amax(1) / 127;
  const at::Tensor divisors = at::where(scales > 0, scales, at::ones_like(scales));
  const at::Tensor quantised = (weight / divisors.unsqueeze(1)).round_().to(at::kChar);
  scales_ = vector_of(scales);
  sums_ = vector_of(quantised.sum(1, /*keepdim=*/false, at::kFloat));
  pack(quantised);
}

void Product::multiply(const Operand& x, int64_t row, int64_t tile, const Tile& out) const {
  using at::native::cpublas::brgemm;
  const int64_t rows = out.rows;
  switch (precision_) {
    case Precision::kFp32:
      return brgemm(rows, kTile, depth_, x.stride, kTile, kTile, /*add_C=*/false,
                    static_cast<const float*>(x.at(row, 0)),
                    static_cast<const float*>(packed_) + tile * depth_ * kTile, out.values,
                    /*is_vnni=*/false);
    case Precision::kBf16:
      return brgemm(rows, kTile, depth_, x.stride, kTile, kTile, /*add_C=*/false,
                    static_cast<const at::BFloat16*>(x.at(row, 0)),
                    static_cast<const at::BFloat16*>(packed_) + tile * depth_ * kTile, out.values);
    case Precision::kFp16:
      return;  // its constructor refused
    case Precision::kInt8:
      brgemm(rows, kTile, depth_, x.stride, kTile, kTile, /*add_C=*/false,
             static_cast<const uint8_t*>(x.at(row, 0)),
             static_cast<const int8_t*>(packed_) + tile * depth_ * kTile,
             reinterpret_cast<int32_t*>(out.values));
      return kernels_.dequantise(out, x.scales + row, x.offsets + row,
                                 scales_.data() + tile * kTile, sums_.data() + tile * kTile);
  }
}

}  // namespace moecollab::encoder
