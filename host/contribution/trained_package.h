// The package of an expert that was trained here.
#pragma once

#include <string_view>
#include <vector>

#include "contribution/recipe.h"
#include "pipeline/pool.h"
#include "registry/manifest.h"
#include "registry/package.h"
#include "training/expert_trainer.h"

namespace moecollab::contribution {

// The package of what was trained, in a new folder (in place of what is there), with the library of
// `kind`. The shortest texts give its probe vectors.
registry::Package write_trained(const fs::path& folder, const registry::Manifest& manifest,
                                const registry::Package& kind, WeightType weights,
                                training::TrainedExpert& trained, pipeline::Pool& pool,
                                const std::vector<std::string_view>& texts);

// Whether train-expert made this very package in this registry, and can make it again of the texts
// alone: its provenance says how and names no teachers, and its answers on the held-out texts are
// there. Packages that were added say anything.
bool can_learn_again(const registry::Package& package, const fs::path& registry);

}  // namespace moecollab::contribution
