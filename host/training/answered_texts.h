// Texts with all that is known of them: what a gate reads, where they are from, what experts said.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "fusion/fusion.h"

namespace moecollab::training {

// n texts and E experts. What a use does not need may be left undefined or empty.
struct AnsweredTexts {
  at::Tensor z;                      // [n, D] features that the gate reads
  at::Tensor targets;                // [n] int64 global label ids; −1 if the label is not known
  at::Tensor spaces;                 // [n] int64, the label space that each text's label belongs to
  std::vector<std::string> domains;  // names
  std::vector<int> domain_of;        // [n] indices into these
  // Per expert [n, C_e]; a row of NaN if its answer is not known.
  std::vector<at::Tensor> logits;
  // Per expert: texts of its own domain that it may have trained on; 0: its answers are honest.
  std::vector<int64_t> seen;

  int64_t rows() const { return z.defined() ? z.size(0) : 0; }
  // Whether the e-th expert's answers are known [n] bool.
  at::Tensor is_known(size_t e) const { return logits[e].isfinite().all(1); }
  // Number of the domain of that name; −1 if none of the texts is of it.
  int index_of(const std::string& domain) const;
  // The rows of a domain [m] int64.
  at::Tensor rows_of(int domain) const;
  // These rows; domains keep their numbers.
  AnsweredTexts select(const at::Tensor& index) const;
};

// One after the other; domains of equal names become one.
AnsweredTexts joined(const AnsweredTexts& a, const AnsweredTexts& b);

// Index of the name among the names, added if it is new.
int index_among(std::vector<std::string>& names, const std::string& name);

// Whether the e-th expert alone, which knows the domain, answers each text with its own label [n]
// bool.
at::Tensor right_alone(const AnsweredTexts& texts, size_t e, const fusion::ExpertLabels& labels);

}  // namespace moecollab::training
