// What the gate learns from: held-out training texts, their features and every expert's logits.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "data/dataset.h"
#include "encoder/features.h"
#include "pipeline/pool.h"
#include "training/answered_texts.h"

namespace moecollab::training {

struct GateData {
  // By all experts of the pool, those of their own domain being models that did not learn them;
  // domains are those of the datasets, in order.
  AnsweredTexts held_out;
  // The other training texts, without answers: experts may have trained on them, so what they say
  // means nothing here; which label space a text belongs to does. May be none.
  AnsweredTexts others;
};

// Collects the held-out part of each domain's training file for all experts of the pool, and the
// features of the rest. With `cross_fitted`, texts are held out, too, for which every expert of
// their domain has an answer of such a model (`train-expert --folds`). If an expert has held-out
// logits for a text (registry/heldout/), these count; elsewhere it is run: on other domains' texts,
// which it never saw, and, with a warning, on its own if it came without such a file. Finite
// answers of deterministic experts are kept in the pool's cache, so the next run asks neither them
// nor, for their sake, the encoder.
GateData collect_gate_data(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
                           const std::vector<encoder::PooledKey>& features, bool cross_fitted);

}  // namespace moecollab::training
