// The host's tensors and batches in the memory that an expert's process sees.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "encoder/features.h"
#include "worker/memory.h"
#include "worker/protocol.h"

namespace moecollab::worker {

// What one call lends to the process; its blocks are freed with it.
class Lent {
 public:
  explicit Lent(SharedMemory& in) : in_(in) {}

  template <typename T>
  uint64_t array(const T* values, size_t count) {
    Block& block = blocks_.emplace_back(in_, count * sizeof(T));
    std::copy_n(values, count, reinterpret_cast<T*>(block.data()));
    return block.offset();
  }
  template <typename T>
  uint64_t array(const std::vector<T>& values) {
    return array(values.data(), values.size());
  }
  WireText text(std::string_view text) { return {array(text.data(), text.size()), text.size()}; }
  uint64_t texts(const std::vector<std::string>& texts);
  // A copy, float32 or int32.
  WireTensor tensor(const at::Tensor& tensor);
  // What an expert that asked for `request` reads of the rows.
  WireBatch batch(const encoder::Features& rows, const encoder::FeatureRequest& request,
                  bool texts);

 private:
  SharedMemory& in_;
  std::vector<Block> blocks_;
};

// A float32 tensor of that shape in `out`, which the process writes.
WireTensor wire_of(const Block& block, at::IntArrayRef shape);
at::Tensor mapped(const Block& block, at::IntArrayRef shape);
uint64_t bytes_of(at::IntArrayRef shape);

}  // namespace moecollab::worker
