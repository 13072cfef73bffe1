// Texts side by side without padding, and with it where attention needs it.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <vector>

namespace moecollab::deep_adapter {

// Neighbouring texts that attention sees as one block of rows of one length.
struct LengthGroup {
  int64_t texts = 0;
  int64_t length = 0;             // of each, after padding
  int64_t first = 0, tokens = 0;  // its real tokens among the packed ones
  at::Tensor padded;              // [texts · length] int64: the packed row that stands there; in
                                  // padding the text's first, so that texts stay apart
  at::Tensor padded_gradient;     // the same for gradients; in padding a row that is always 0
  at::Tensor real;                // [tokens] int64: where each of its tokens stands
  at::Tensor mask;                // [texts, 1, 1, length]: 0 for real tokens, −∞ else
};

// The tokens of some texts as rows of one matrix, longest text first. After the T real rows follow
// some that no text owns, so that few shapes are met: oneDNN compiles a kernel for each. Immutable;
// shared with the graphs that are made over it.
struct Packing : torch::CustomClassHolder {
  // `lengths` fall; none is below 1. Tensors are on the device.
  explicit Packing(std::vector<int64_t> lengths, at::Device device = at::kCPU);

  std::vector<int64_t> lengths;
  int64_t tokens = 0;  // T
  int64_t rows = 0;    // T and those that no text owns, at least one
  std::vector<LengthGroup> groups;
  // On a device only: the first row of each text [texts] int64, and of each real row [T] its text
  // int64 and its share of that text's mean.
  at::Tensor first_row, text_of_row, share;
};

// Mean over each text's own rows of x [rows, H]: [texts, H], differentiable once.
at::Tensor mean_per_text(const at::Tensor& x, const c10::intrusive_ptr<Packing>& packing);

}  // namespace moecollab::deep_adapter
