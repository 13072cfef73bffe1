// The gate that a verb answers with.
#pragma once

#include <optional>

#include "base/run_context.h"
#include "pipeline/gate_file.h"
#include "pipeline/pool.h"

namespace moecollab::engine {

// The fitted gate and how it is read: fusion and top_k of the options win over registry.toml's
// [gate], and that over the gate's own.
struct LoadedGate {
  pipeline::GateFile file;
  fusion::Mode fusion;
  int64_t top_k;
};
LoadedGate load_gate(const pipeline::Pool& pool, std::optional<fusion::Mode> fusion,
                     std::optional<int64_t> top_k, Log log);
// The same before there is a pool.
LoadedGate load_gate(const fs::path& registry, std::optional<fusion::Mode> fusion,
                     std::optional<int64_t> top_k, Log log);

}  // namespace moecollab::engine
