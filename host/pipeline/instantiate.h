// From a verified package folder to a running expert.
#pragma once

#include <memory>

#include "base/compute.h"
#include "base/json.h"
#include "base/run_context.h"
#include "encoder/encoder.h"
#include "experts/expert.h"
#include "pipeline/placement.h"
#include "registry/package.h"

namespace moecollab::pipeline {

// Loads the package's library and makes its expert: digests of all files, library id and version of
// note = manifest, class count and labels of library = manifest = requirements = weights, layers of
// the encoder. `encoder` may be null for an expert that reads text only. `config` goes over the
// manifest's [config]. In a place of its own, none of its code runs in this process. Throws with
// the code of the first check that fails: those of check_files, Library::load and InProcessExpert,
// E_DESC_MISMATCH, E_ST_….
std::unique_ptr<experts::Expert> instantiate(const registry::Package& package,
                                             const encoder::Encoder* encoder,
                                             const Compute& compute, const RunContext& context,
                                             const Place& place,
                                             const Json& config = Json::object());

// The same without the manifest's weights and with other labels: for training, in that precision.
std::unique_ptr<experts::Expert> instantiate_untrained(
    const registry::Package& package, const encoder::Encoder* encoder, const Compute& compute,
    const RunContext& context, const Place& place, int32_t classes, const Json& config,
    uint64_t seed, Precision precision);

// Versions of everything that computes, and Compute::identity(): for caches, probe records and the
// digests of runs.
std::string engine_version(const Compute& compute);

}  // namespace moecollab::pipeline
