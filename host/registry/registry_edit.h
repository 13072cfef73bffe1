// Writing registry.toml: a new one, and additions that leave the operator's own text alone.
#pragma once

#include <optional>
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

// The encoder's folder as the registry.toml of `registry`, which exists, names it. A registry and
// an encoder below the folder that holds the registry move together, so the path counts from the
// registry; any other encoder stays where it is if the registry is moved or copied, so its path is
// absolute.
std::string encoder_path(const fs::path& encoder, const fs::path& registry);

// `text` with another [encoder] path and every other byte as it was; as it is without [encoder].
// Throws E_REG_SCHEMA if it is written so that this key cannot be replaced.
std::string with_encoder_path(const std::string& text, const std::string& path,
                              const std::string& file);

// `text` with one key of that [[expert]] set or taken out, or without its table, and every other
// byte as it was. A key is replaced on its line, or added on a line of its own after the table's
// last; comments above a table stay. Throws E_REG_SCHEMA, naming the line, if the expert is written
// in a way that no single key of it can be changed (in an inline table), and as parse_registry().
std::string with_enabled(const std::string& text, const std::string& name, bool enabled,
                         const std::string& file);
std::string with_pin(const std::string& text, const std::string& name,
                     const std::optional<Version>& pin, const std::string& file);
std::string without_expert(const std::string& text, const std::string& name,
                           const std::string& file);

// Replaces registry_path() of the folder by that, atomically; a symbolic link stays one. Throws as
// registry_text and with_expert, and E_WRITE; the file is then as before.
void append_expert(const fs::path& folder, const ExpertEntry& entry);

}  // namespace moecollab::registry
