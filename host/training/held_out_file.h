// An expert's logits on the training texts that it did not train on, and which texts its training
// file held: registry/heldout/.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/digest.h"
#include "base/files.h"
#include "registry/layout.h"

namespace moecollab::training {

// Logits [n, C] of n texts, by the texts' SHA-256.
struct HeldOutLogits {
  std::vector<Digest> texts;
  at::Tensor logits;
  std::vector<Digest> seen;  // all texts of the training file; empty if that is not known

  // Row of the text, or nullopt.
  std::optional<int64_t> find(const Digest& text) const;

 private:
  mutable std::unordered_map<std::string, int64_t> rows_;  // built at the first find()
};

void write_held_out(const fs::path& file, const HeldOutLogits& logits);

// nullopt if there is no such file; throws E_ST_… for a damaged one.
std::optional<HeldOutLogits> read_held_out(const fs::path& file, int64_t classes);

}  // namespace moecollab::training
