// An expert's own blocks above a layer of the encoder, run where the encoder runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>

#include "base/compute.h"
#include "encoder/blocks.h"

namespace moecollab::encoder {

// Products are float32, whatever the encoder's are. Immutable; thread-safe.
class Fork {
 public:
  virtual ~Fork() = default;
  // All blocks over texts whose states are rows [row_offsets[i], row_offsets[i + 1]) of `states`
  // [T, H] float32, at least one each: the mean of each text's last states to `out` [n, H]. Both
  // are contiguous, in the host's memory or on the device that the blocks are on.
  virtual void means(const at::Tensor& states, std::span<const int32_t> row_offsets,
                     at::Tensor& out) const = 0;
};

// Copies the weights (see Blocks). batch_tokens: of one pass at most; on another device than the
// CPU fewer if its memory is too small. `spare` is that of passes on the CPU.
std::unique_ptr<Fork> make_fork(const BertConfig& config, int64_t count,
                                const Blocks::WeightOf& weight, Device device, int64_t batch_tokens,
                                std::shared_ptr<SpareBuffers> spare);

}  // namespace moecollab::encoder
