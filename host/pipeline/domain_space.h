// Which label space a domain's data is of.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "pipeline/pool.h"

namespace moecollab::pipeline {

// The space's index in `labels`: what registry.toml's [domains] says, else the one space that the
// experts of that domain answer in. nullopt if [domains] names a space that `labels` does not hold,
// or if no expert is of the domain. Throws E_DATA listing the spaces if there are several.
std::optional<int> find_domain_space(const registry::RegistryFile& registry,
                                     std::span<const InstalledExpert* const> experts,
                                     const fusion::LabelUnion& labels, const std::string& domain);

}  // namespace moecollab::pipeline
