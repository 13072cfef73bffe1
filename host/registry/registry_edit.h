// Writing registry.toml: a new one, and additions that leave the operator's own text alone.
#pragma once

#include <string>

#include "base/files.h"
#include "registry/registry_file.h"

namespace moecollab::registry {

// The text of a registry of 0 experts on this encoder. Throws E_REG_SCHEMA for an entry that
// parse_registry would refuse.
std::string new_registry_text(const EncoderEntry& encoder);

// `text` with one [[expert]] table after it and every other byte as it was; a line end is added
// if the last line has none, and `schema = 1` if there is no key at all. Line ends are those
// of the text. Throws E_REG_SCHEMA, E_REG_SIZE, … if the result were no valid registry (a name that
// is there already, …); `file` is named.
std::string with_expert(const std::string& text, const ExpertEntry& entry, const std::string& file);

// Replaces registry_path() of the folder by that, atomically; a symbolic link stays one. Throws as
// registry_text and with_expert, and E_WRITE; the file is then as before.
void append_expert(const fs::path& folder, const ExpertEntry& entry);

}  // namespace moecollab::registry
