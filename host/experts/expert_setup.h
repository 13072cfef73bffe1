// What an expert is made from, wherever it runs.
#pragma once

#include <ATen/ATen.h>
#include <moecollab/abi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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

// setup.pooling as the ABI has it.
int32_t pooling_code(const std::optional<encoder::Pooling>& pooling);

// What an object's requirements() gave.
struct Requirements {
  int32_t classes = 0, pooling = 0, layout = 0;
  uint32_t inputs = 0;
  int64_t max_batch = 0;
  std::vector<int32_t> layers;
  Flops flops;
};

// Throws E_DESC_MISMATCH unless they are the setup's (both are named). Adds the cost to `facts`;
// layers are adopted in both if the setup says so.
void check_requirements(const Requirements& seen, ExpertSetup& setup, ExpertFacts& facts);

// Throws E_DESC_MISMATCH unless the library's value is the manifest's.
void require_same(const std::string& expert, const char* what, int64_t manifest, int64_t library);

// The shapes of a bottleneck that the expert says it is.
void check_bottleneck(const ExpertSetup& setup, int64_t features, int64_t width, int64_t classes);

// Throws E_DESC_MISMATCH if a parameter has that name already.
void require_new_parameter(const std::string& expert,
                           const std::vector<Expert::Parameter>& parameters,
                           const std::string& name);
// Gives each parameter the weight of its name.
void copy_weights(const std::vector<std::pair<std::string, at::Tensor>>& weights,
                  std::vector<Expert::Parameter>& parameters);

// Throws what a call that failed stands for: E_INTERRUPTED if it was cancelled, for create()
// E_DESC_MISMATCH if the values were refused and E_PLUG_UNSUPPORTED, else E_OUT.
[[noreturn]] void throw_failure(const std::string& expert, const char* call, moec_status status,
                                std::string_view message);
// The sentence of it.
std::string failure(const std::string& expert, const char* call, moec_status status,
                    std::string_view message);

}  // namespace moecollab::experts
