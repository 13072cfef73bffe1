// The folder in which encoder features are kept from run to run.
#pragma once

#include <memory>

#include "base/run_context.h"
#include "encoder/feature_cache.h"
#include "engine/options.h"

namespace moecollab::engine {

// The cache that was asked for, or the user's: XDG_CACHE_HOME/moecollab, else
// HOME/.cache/moecollab. Throws E_WRITE if the one asked for cannot be made. Without the user's a
// run is slower and no worse: then a warning says so, and there is none (nullptr).
std::shared_ptr<encoder::FeatureCache> open_cache(const WhereOptions& options,
                                                  const Compute& compute, Log log);

}  // namespace moecollab::engine
