// Where the program finds its own plugins, and what a new registry starts from.
#pragma once

#include <string>

#include "base/run_context.h"
#include "encoder/encoder.h"
#include "engine/options.h"

namespace moecollab::engine {

// The package folder that --kind names: a stock kind ("adapter", "lexical") beside the engine
// library, or a path (with a slash, or an existing folder or file). Throws E_CONFIG listing the
// stock kinds otherwise.
fs::path find_kind(const std::string& kind);

// The encoder of a registry that train-expert has to make: --encoder, or the set-up's.
encoder::EncoderSettings new_registry_encoder(const CommonOptions& options);

// Opens the registry again and writes what it finds into the lock.
void refresh_lock(const CommonOptions& options, const RunContext& context);

}  // namespace moecollab::engine
