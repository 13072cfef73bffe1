// What every verb sets up first.
#pragma once

#include <initializer_list>
#include <memory>

#include "base/run_context.h"
#include "contribution/trial_texts.h"
#include "data/dataset.h"
#include "engine/options.h"
#include "pipeline/pool.h"

namespace moecollab::engine {

// Sets the thread count; throws E_CONFIG for options out of range, and for a device or precision
// that is not here. Call before any tensor is made.
void prepare(const RunOptions& options);

// Those asked for, or the device's usual ones.
int64_t batch_tokens(const RunOptions& options);

// The pool's options for these; opens the feature cache unless --no-cache (or `cached` is false).
pipeline::PoolOptions pool_options(const CommonOptions& options, const RunContext& context,
                                   bool cached = true);

// Throws E_WRITE unless registry.toml, the lock and these folders of the registry could be written
// now. Call before anything is computed.
void require_writable_parts(const fs::path& registry, std::initializer_list<const char*> folders);

// The encoder of a registry that has to be made: --encoder, or the set-up's.
encoder::EncoderSettings new_registry_encoder(const WhereOptions& options);

// The options with what registry.toml's [data] says of each domain; as they are if there is no
// registry yet.
data::DataOptions with_registry(data::DataOptions options, const fs::path& registry);

// A training file for each domain, read whole.
std::vector<data::Dataset> read_datasets(const data::DataOptions& options,
                                         const std::string& default_split, Log log);

// What a candidate is judged on: training files (the default, of which the held-out texts count),
// or another split with the folder's training files beside it.
contribution::TrialFiles read_trial_files(const data::DataOptions& options, Log log);

// Refuses --top-k above the number of [[expert]] entries: known once registry.toml is read, before
// any library.
void check_top_k(const fs::path& registry, int64_t top_k);

}  // namespace moecollab::engine
