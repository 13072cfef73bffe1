// An expert's answers as they would be on texts that it never saw.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string_view>
#include <vector>

#include "pipeline/outputs.h"

namespace moecollab::training {

// Logits of one expert on n texts. If registry/heldout/ holds its logits for a text, these
// count, from the model that did not train on the text; elsewhere what it answers, now or, from the
// cache, in an earlier run.
struct HonestLogits : pipeline::Outputs {
  // Texts of its own domain that it has no held-out logits for, and may have trained on.
  int64_t unknown = 0;
};

// What is known without running the expert. own_domain [n]: which texts are of its domain.
HonestLogits known_logits(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert,
                          std::span<const std::string_view> texts,
                          const std::vector<bool>& own_domain);

// Asks it for the rows that are missing, from the features of all n texts.
void ask_missing(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                 const encoder::Features& features, HonestLogits& known);

}  // namespace moecollab::training
