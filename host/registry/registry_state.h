// The state of a registry as it was at one moment.
#pragma once

#include <optional>
#include <string>

#include "base/files.h"

namespace moecollab::registry {

// The texts that say what a registry is. The gate's tensors are named in `gate` by digest.
struct RegistryState {
  std::string registry;             // registry.toml
  std::optional<std::string> lock;  // registry.lock.toml
  std::optional<std::string> gate;  // gate/gate.toml

  bool operator==(const RegistryState&) const = default;
};

// Reads them so that all are of one state, also if another process changes the registry meanwhile,
// or was killed while it did: a change counts from the moment at which history/ has it. What a
// person edited after that counts as edited, but a lock that is missing (damaged_state.h). Takes no
// lock and writes nothing. Throws as
// registry_text(), E_REG_IO, E_REG_SIZE, E_REG_HISTORY.
RegistryState read_state(const fs::path& folder);

// One of its files alone; throws alike.
std::optional<std::string> read_state_file(const fs::path& folder, const std::string& file);

}  // namespace moecollab::registry
