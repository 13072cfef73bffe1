// What an expert is made from, wherever it runs.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/compute.h"
#include "base/json.h"
#include "base/run_context.h"
#include "encoder/bert_config.h"
#include "encoder/encoder.h"
#include "experts/expert.h"

namespace moecollab::experts {

// Beside the library. `weights`: float32 tensors by name.
struct ExpertSetup {
  std::string name;  // for messages
  int32_t classes = 0;
  bool probabilities = false;  // what forward() gives, instead of logits
  uint32_t inputs = 0;         // bits of abi.h
  std::optional<encoder::Pooling> pooling;
  std::vector<int32_t> layers;  // from the embeddings, 0
  const encoder::BertConfig* encoder = nullptr;
  std::string encoder_fingerprint;
  int max_length = 0;
  int64_t max_batch = 0;  // rows of one call; 0: any
  Json config = Json::object();
  std::vector<std::pair<std::string, at::Tensor>> weights;
  Compute compute;
  uint64_t seed = 0;
  Precision training = Precision::kFp32;  // what its products in training are computed in
  // The encoder's weights for moecollab.encoder/1; none: the expert cannot fork from it. Outlives
  // the expert.
  const encoder::Encoder* encoder_weights = nullptr;
  // Where its messages go, and whether it is to end the call that it is in.
  RunContext context;
  // The manifest is not final yet: layers that the object names instead of those above are taken.
  bool adopt_layers = false;
};

// The facts that follow from the setup: neither cost nor trainable.
ExpertFacts facts_of(const ExpertSetup& setup);

}  // namespace moecollab::experts
