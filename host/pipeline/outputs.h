// Experts' answers from an earlier run: beside the encoder, an expert too runs once per text.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "encoder/features.h"
#include "pipeline/pool.h"

namespace moecollab::pipeline {

// What is known of one expert's answers to n texts.
struct Outputs {
  at::Tensor logits;            // [n, C]; 0 in the rows that it must still be asked for
  std::vector<int64_t> to_run;  // these rows, ascending
};

// From the pool's cache, by package, its configuration and encoder. Nothing for an expert that does
// not call itself deterministic.
Outputs recall(const Pool& pool, const InstalledExpert& expert,
               std::span<const std::string_view> texts);

// Asks the expert for `rows` (ascending), as far as they are in outputs.to_run, from the features
// of all n texts, and keeps finite answers in the cache.
void complete(Pool& pool, InstalledExpert& expert, const encoder::Features& features,
              std::span<const int64_t> rows, Outputs& outputs);

// Logits [rows, C] of one expert for some rows of the features, counted as its calls. Elements that
// are not finite are handled by `nan_policy` ("fail" throws E_OUT_NONFINITE; "mask" leaves them to
// the caller).
at::Tensor ask_expert(InstalledExpert& expert, const encoder::Features& features,
                      std::span<const int64_t> rows, const std::string& nan_policy);

}  // namespace moecollab::pipeline
