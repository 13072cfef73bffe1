// Where an expert runs: in this process, or in one of its own.
#pragma once

#include <optional>

#include "base/compute.h"
#include "registry/lock.h"
#include "registry/package.h"
#include "registry/registry_file.h"
#include "worker/isolation_options.h"
#include "worker/process.h"

namespace moecollab::pipeline {

// The limits of an expert's own process; nullopt: it runs in this one.
using Place = std::optional<worker::ProcessLimits>;

// In a process of its own runs every package but those that the operator answers for: trained in
// this registry by a library of this program's, signed by a key of its [[trust]] that counts today,
// or installed with the program.
// With `all`, or isolation = "process" in the policy, those too. Throws as registry::check_trust.
Place place_of(const registry::Package& package, const registry::RegistryFile& registry,
               const registry::Lock& lock, const worker::IsolationOptions& options,
               const Compute& compute);

// Whether the library came with this program, to the byte.
bool has_stock_library(const registry::Manifest& manifest);
// Throws E_POLICY unless it did.
void require_stock_library(const registry::Package& package);

}  // namespace moecollab::pipeline
