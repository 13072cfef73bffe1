#include "experts/expert_setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::experts {

ExpertFacts facts_of(const ExpertSetup& setup) {
  ExpertFacts facts;
  facts.name = setup.name;
  facts.classes = setup.classes;
  facts.probabilities = setup.probabilities;
  facts.layers = setup.layers;
  facts.request.tokens = (setup.inputs & MOEC_INPUT_TOKENS) != 0;
  for (const int32_t layer : setup.layers) {
    if (setup.inputs & MOEC_INPUT_HIDDEN) facts.request.hidden.insert(layer);
    if (setup.inputs & MOEC_INPUT_POOLED)
      facts.request.pooled.insert({layer, setup.pooling.value()});
  }
  return facts;
}

int32_t pooling_code(const std::optional<encoder::Pooling>& pooling) {
  if (!pooling) return MOEC_POOLING_NONE;
  return *pooling == encoder::Pooling::kMean ? MOEC_POOLING_MEAN : MOEC_POOLING_CLS;
}

void require_same(const std::string& expert, const char* what, int64_t manifest, int64_t library) {
  if (manifest == library) return;
  throw Error("E_DESC_MISMATCH",
              fmt::format("expert {}: {} is {} in the manifest, {} in the library", escaped(expert),
                          what, manifest, library),
              "the author's expert.toml and code must agree");
}

namespace {

// Those that a library names: ascending, each once, and layers of the encoder.
void require_layers(const ExpertSetup& setup, const std::vector<int32_t>& layers) {
  const int64_t deepest = setup.encoder == nullptr ? -1 : setup.encoder->layers;
  const bool ascend = std::ranges::adjacent_find(layers, std::greater_equal<>()) == layers.end();
  if (ascend && !layers.empty() && layers.front() >= 0 && layers.back() <= deepest) return;
  throw Error("E_DESC_MISMATCH",
              fmt::format("expert {}: the layers that its library names are not layers of the "
                          "encoder, ascending, from 0 to {}",
                          escaped(setup.name), deepest));
}

}  // namespace

void check_requirements(const Requirements& seen, ExpertSetup& setup, ExpertFacts& facts) {
  const auto same = [&](const char* what, int64_t manifest, int64_t library) {
    require_same(setup.name, what, manifest, library);
  };
  same("the class count", setup.classes, seen.classes);
  same("the set of inputs", setup.inputs, seen.inputs);
  same("the pooling", pooling_code(setup.pooling), seen.pooling);
  if (setup.adopt_layers && seen.layers != setup.layers) {
    require_layers(setup, seen.layers);
    setup.layers = seen.layers;
    facts = facts_of(setup);
    facts.adopted_layers = true;
  }
  same("the number of layers", static_cast<int64_t>(setup.layers.size()),
       static_cast<int64_t>(seen.layers.size()));
  for (size_t i = 0; i < setup.layers.size(); ++i) same("a layer", setup.layers[i], seen.layers[i]);
  same("the largest batch", setup.max_batch, seen.max_batch);
  same("the layout", MOEC_LAYOUT_RAGGED, seen.layout);
  facts.flops = seen.flops;
}

void check_bottleneck(const ExpertSetup& setup, int64_t features, int64_t width, int64_t classes) {
  const auto same = [&](const char* what, int64_t manifest, int64_t library) {
    require_same(setup.name, what, manifest, library);
  };
  same("the set of inputs of a bottleneck", setup.inputs, MOEC_INPUT_POOLED);
  same("the class count of its bottleneck", setup.classes, classes);
  same("the number of features of its bottleneck",
       static_cast<int64_t>(setup.layers.size()) * setup.encoder->hidden, features);
  if (width < 1) same("the least width of its bottleneck", 1, width);
}

void require_new_parameter(const std::string& expert,
                           const std::vector<Expert::Parameter>& parameters,
                           const std::string& name) {
  for (const Expert::Parameter& other : parameters) {
    if (other.name != name) continue;
    throw Error(
        "E_DESC_MISMATCH",
        fmt::format("expert {} gives two parameters the name {}", escaped(expert), escaped(name)),
        "weights are stored under their names; each needs its own");
  }
}

void copy_weights(const std::vector<std::pair<std::string, at::Tensor>>& weights,
                  std::vector<Expert::Parameter>& parameters) {
  for (Expert::Parameter& parameter : parameters) {
    for (const auto& [name, tensor] : weights) {
      if (name == parameter.name) parameter.value.copy_(tensor);
    }
  }
}

std::string failure(const std::string& expert, const char* call, moec_status status,
                    std::string_view message) {
  return fmt::format("expert {}: {}() failed with status {}: {}", escaped(expert), call, status,
                     message.empty() ? "no message" : escaped(message, 512));
}

void throw_failure(const std::string& expert, const char* call, moec_status status,
                   std::string_view message) {
  const std::string what = failure(expert, call, status, message);
  if (status == MOEC_CANCELLED) throw Error("E_INTERRUPTED", what);
  if (std::string_view(call) != "create") throw Error("E_OUT", what);
  // Values that an expert refuses at its making are those of its manifest and weights.
  if (status == MOEC_INVALID_ARGUMENT) throw Error("E_DESC_MISMATCH", what);
  if (status == MOEC_UNSUPPORTED)
    throw Error("E_PLUG_UNSUPPORTED", what, "use it on a machine that has what it needs");
  throw Error("E_OUT", what);
}

}  // namespace moecollab::experts
