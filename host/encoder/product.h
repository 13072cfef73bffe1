// A linear layer's product in float32, bfloat16 or int8, a tile at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "base/compute.h"
#include "encoder/arena.h"
#include "encoder/kernels.h"

namespace moecollab::encoder {

// What the rows of a product's left side are stored as.
Numbers numbers_of(Precision precision);

// x·Wᵀ for x [rows, in], with W in the layout that the product reads. Immutable.
//
// int8: W as int8 with a scale per output channel, x as uint8 with a scale and an offset per row.
// LibTorch's brgemm (oneDNN's microkernel) multiplies one tile on the calling thread.
class Product {
 public:
  // weight [out, in] and bias [out], float32, contiguous, on the CPU. What is packed goes to
  // `memory`, bytes(out, in, precision) of it, which must live as long.
  Product(const at::Tensor& weight, const at::Tensor& bias, Precision precision,
          const Kernels& kernels, Arena& memory);
  static int64_t bytes(int64_t out, int64_t in, Precision precision);

  int64_t tiles() const { return tiles_; }  // of kTile output channels, the last filled with zeros
  // [tiles() · kTile]: zeros after the last channel.
  const float* bias() const { return bias_.data(); }

  // Channels [tile · kTile, + kTile) of the rows [row, row + out.rows): float32, without the bias.
  // x.stride is at least `in` rounded up to 4.
  void multiply(const Operand& x, int64_t row, int64_t tile, const Tile& out) const;

 private:
  void pack(const at::Tensor& weight);      // weight [tiles · kTile, depth]
  void quantise(const at::Tensor& weight);  // the same

  Precision precision_;
  const Kernels& kernels_;
  int64_t depth_, tiles_;
  void* packed_;  // [tiles, depth, kTile], groups of 2 (bf16) or 4 (int8) of the depth together
  std::vector<float> bias_, scales_, sums_;
};

}  // namespace moecollab::encoder
