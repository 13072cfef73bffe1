// What becomes of the gate in the same change that adds or upgrades an expert.
#pragma once

#include <string>
#include <vector>

#include "contribution/install_options.h"
#include "data/dataset.h"
#include "engine/options.h"
#include "pipeline/pool.h"
#include "registry/change.h"

namespace moecollab::engine {

// What was asked for, else grow if there are data and the registry has a gate. Throws E_CONFIG for
// a step without data.
contribution::GateStep settle_gate_step(const CommonOptions& options,
                                        const contribution::InstallOptions& install);

// Puts the gate into the change: grown by the expert, or fitted again with the settings that it was
// fitted with. `pool`: the registry as it will be. Returns what `grow` or `train-gate` prints.
// Throws as these do.
Json carry_out(contribution::GateStep step, pipeline::Pool& pool, const std::string& name,
               std::vector<data::Dataset> datasets, const CommonOptions& options,
               registry::Change& change);

}  // namespace moecollab::engine
