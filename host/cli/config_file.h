// --config FILE.toml: every option of a verb as a key.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace moecollab::cli {

// The arguments followed by the options of --config FILE, except those that were given as
// flags or by the environment. E_CONFIG for a file that cannot be read or a key that is no option
// of the verb.
std::vector<std::string> with_config(const CLI::App& verb, std::vector<std::string> arguments);

}  // namespace moecollab::cli
