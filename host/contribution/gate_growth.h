// The growth of a gate: rows for new experts, while all other rows stay as they are.
#pragma once

#include <vector>

#include "contribution/growth_options.h"
#include "contribution/growth_record.h"
#include "contribution/opened_growth.h"
#include "data/dataset.h"
#include "registry/change.h"

namespace moecollab::contribution {

// Throws E_CONFIG for options that are out of range or contradict each other.
void check(const GrowthOptions& options);

// Finds the new rows, checks what they cost the old domains, and writes the grown gate into the
// pool's registry: as a part of the change `within`, or as one of its own if that is null.
// `datasets`: training files, of which those of domains that the growth does not need are left out;
// none: packages and what was kept must do. `seed`: the order of texts. Throws E_REQUIRE_GUARD if
// an old domain would lose too much (or was not checked, with options.guard), E_GATE if the gate
// was changed meanwhile, E_DATA_CHANGED if a file was, and as collect_growth_texts(); the gate is
// unchanged then.
GrowthResult grow_gate(pipeline::Pool& pool, const OpenedGrowth& growth,
                       std::vector<data::Dataset> datasets, const GrowthOptions& options,
                       uint64_t seed, registry::Change* within = nullptr);

}  // namespace moecollab::contribution
