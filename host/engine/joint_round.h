// A round of `train --joint`: experts learn again from the start, together with a gate.
#pragma once

#include "base/run_context.h"
#include "data/dataset.h"
#include "engine/options.h"

namespace moecollab::engine {

// Trains every expert of the gate that has moecollab.train/1, learns nothing but parameters and was
// trained in this registry, on the texts that are not held out, and installs each as its next
// version, with its answers on the held-out texts; the gate that learnt with them is left behind,
// to be fitted as usual. Files of domains without such an expert are left out. `installed` has
// {name: {version}} of each expert, null from the moment that its installation begins. What it
// says: {epochs, history}. Throws E_TRAIN_UNSUPPORTED where there is no such expert.
Json train_jointly(const TrainRoundsOptions& options, const std::vector<data::Dataset>& datasets,
                   const RunContext& context, Json& installed);

}  // namespace moecollab::engine
