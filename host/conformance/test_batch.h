// Batches as a host hands them over, in memory that tells who wrote where.
#pragma once

#include <moecollab/abi.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "conformance/guarded_memory.h"

namespace moecollab::conformance {

// A float32 or int32 tensor in guarded memory.
struct GuardedTensor {
  GuardedTensor(const std::string& name, std::vector<int64_t> shape, uint8_t type = MOEC_FLOAT);
  GuardedTensor(const GuardedTensor&) = delete;
  float* floats() const { return static_cast<float*>(memory.data()); }
  int32_t* ints() const { return static_cast<int32_t*>(memory.data()); }
  size_t count() const { return memory.size() / 4; }

  std::vector<int64_t> shape, strides;
  GuardedMemory memory;
  moec_tensor view{};
};

// Rows of texts with the features that an expert asked for, drawn from a seed. Inputs are read-only
// unless made otherwise.
class TestBatch {
 public:
  struct Row {
    std::string text;
    std::vector<int32_t> tokens;
    std::vector<std::vector<float>> hidden;  // per layer [tokens · H]
    std::vector<std::vector<float>> pooled;  // per layer [H]
    int64_t id = 0;
  };
  // `first_at_the_start`: nothing can be read before the first text, instead of after the last.
  TestBatch(const std::vector<Row>& rows, uint32_t inputs, size_t layers, int64_t hidden,
            bool read_only = true, bool first_at_the_start = false);
  const moec_batch& view() const { return view_; }
  // The call that it was lent for is over: every part faults or, small ones, holds rubbish.
  void take_back();
  // Float inputs in the order of vjp's gx: hidden of each layer, then pooled of each layer.
  std::vector<GuardedTensor*> float_inputs();

 private:
  void add_texts(const std::vector<Row>& rows, bool first_at_the_start);
  int64_t add_row_offsets(const std::vector<Row>& rows);  // the number of tokens
  // The views of a tensor per layer; nullptr if there are no layers.
  static const moec_tensor* const* add_layers(const char* name, const std::vector<Row>& rows,
                                              std::vector<std::vector<float>> Row::*values,
                                              size_t layers, const std::vector<int64_t>& shape,
                                              std::deque<GuardedTensor>& tensors,
                                              std::vector<const moec_tensor*>& views);
  void make_read_only();

  std::unique_ptr<GuardedMemory> text_bytes_, texts_, offsets_, row_ids_;
  std::unique_ptr<GuardedTensor> tokens_;
  std::deque<GuardedTensor> hidden_, pooled_;
  std::vector<const moec_tensor*> hidden_views_, pooled_views_;
  moec_batch view_{};
};

}  // namespace moecollab::conformance
