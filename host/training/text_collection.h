// From training files to answered texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "pipeline/pool.h"
#include "training/answered_texts.h"

namespace moecollab::training {

// Chosen examples of one domain's file, and the label space that it answers in.
struct ChosenTexts {
  const data::Dataset* dataset;
  int space;
  std::vector<int64_t> examples;
};

// The dataset's examples: the held-out ones shuffled by the seed, then the others likewise.
std::vector<int64_t> held_out_first(const data::Dataset& dataset, uint64_t seed, int64_t& held_out);

// Encodes the texts and asks the experts about them. If an expert has held-out logits for a text
// (registry/heldout/), these count; elsewhere it is run, also on texts of its own domain that it
// may have trained on, which are counted (`seen`). z has no columns if `features` is empty. `what`:
// for the progress. Throws E_DATA for a label that the domain's space in `labels` does not hold.
AnsweredTexts collect_answered_texts(pipeline::Pool& pool, const fusion::LabelUnion& labels,
                                     const std::vector<pipeline::InstalledExpert*>& experts,
                                     const std::vector<encoder::PooledKey>& features,
                                     const std::vector<ChosenTexts>& chosen,
                                     std::string_view what = "encoding texts");

// Encodes the texts without asking anybody: targets are −1 and logits zero, for what only reads
// where a text is from.
AnsweredTexts collect_unanswered_texts(pipeline::Pool& pool,
                                       const std::vector<pipeline::InstalledExpert*>& experts,
                                       const std::vector<encoder::PooledKey>& features,
                                       const std::vector<ChosenTexts>& chosen,
                                       std::string_view what = "encoding texts");

}  // namespace moecollab::training
