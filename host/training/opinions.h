// What the experts of one label space say of its texts.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "fusion/fusion.h"

namespace moecollab::training {

// What k experts of one label space say of n held-out texts of that space.
struct Opinions {
  at::Tensor z;      // [n, D] float32, standardised
  at::Tensor log_p;  // [n, k, C] calibrated, in the order of the space's labels
  at::Tensor label;  // [n] int64, 0 to C − 1
  bool complete;     // whether every expert knows every label
  // [k] whether an expert answered as a model that did not learn the texts; empty: all did.
  std::vector<bool> honest = {};
};

// The experts that answer in a space, rising.
std::vector<int64_t> experts_in(int space, const std::vector<fusion::ExpertLabels>& experts);

// The texts [m] int64 whose label is of a space; targets [N] int64 global label ids, or −1.
at::Tensor texts_in(int space, const at::Tensor& targets, const fusion::LabelUnion& labels);

// Opinions::honest of these experts, by AnsweredTexts::seen.
std::vector<bool> are_honest(const std::vector<int64_t>& experts, const std::vector<int64_t>& seen);

// What experts_in() say of texts_in(). z [N, D] standardised, logits per expert [N, C_e], finite
// for these; all on one device.
Opinions opinions_in(int space, const at::Tensor& z, const at::Tensor& targets,
                     const std::vector<at::Tensor>& logits,
                     const std::vector<fusion::ExpertLabels>& experts,
                     const fusion::LabelUnion& labels);

}  // namespace moecollab::training
