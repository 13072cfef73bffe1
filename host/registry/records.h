// Every key of registry.toml and of expert.toml: parse_registry and parse_manifest check themselves
// against these, and registry/schema/*.json is made from them.
#pragma once

#include "base/record.h"

namespace moecollab::registry {

const Record& registry_record();
const Record& manifest_record();

}  // namespace moecollab::registry
