// routing.safetensors of a package: features of its training texts, so that a gate can grow while
// the data stays with the contributor (docs/grow-and-admit.md).
#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "base/run_context.h"
#include "encoder/encoder.h"
#include "gate/gate.h"
#include "registry/package.h"

namespace moecollab::training {

struct RoutingFeatures {
  at::Tensor z;            // [m, D] as the gate reads it; m >= 1
  bool mean_only = false;  // z is the mean of the texts' features
};

// nullopt if the package has no such file. Tensors: `features` [m, H] of the last layer's mean
// (or only `mean` [H]), and for other layers `features.<layer>` (`mean.<layer>`); a layer that the
// gate reads and the file lacks counts as average, with a warning. Throws E_DESC_ENCODER for
// another encoder than the registry's, E_ST_… for a damaged file, E_ST_ROUTING for a contradictory
// one, or one without any layer that the gate reads.
std::optional<RoutingFeatures> read_routing(const registry::Package& package,
                                            const encoder::Encoder& encoder, const gate::Gate& gate,
                                            Log log);

}  // namespace moecollab::training
