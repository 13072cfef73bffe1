// Experts' answers from an earlier run: beside the encoder, an expert too runs once per text.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "pipeline/encoded_texts.h"
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

// Those of `rows` (ascending) that the expert must still be asked for.
std::vector<int64_t> rows_to_ask(const Outputs& outputs, std::span<const int64_t> rows);

// Asks the expert for rows_to_ask(outputs, rows), from the features of the n texts, and keeps
// finite answers in the cache. `ahead`: what forward() gave for just these rows, if that was called
// already.
void complete(Pool& pool, InstalledExpert& expert, const EncodedTexts& texts,
              std::span<const int64_t> rows, Outputs& outputs, const at::Tensor& ahead = {});

// forward() of one expert for some rows of the texts; nothing but its seconds is counted.
at::Tensor forward(InstalledExpert& expert, const EncodedTexts& texts,
                   std::span<const int64_t> rows);

// The logits of an `output` [n, C] that forward() gave, counted as the expert's calls. Elements
// that are not finite are handled by `nan_policy` ("mask" leaves them to the
// caller; else E_OUT_NONFINITE is thrown).
at::Tensor take_answers(InstalledExpert& expert, const at::Tensor& output,
                        const std::string& nan_policy);

}  // namespace moecollab::pipeline
