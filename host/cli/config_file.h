// --config FILE.toml: every option of a verb as a key.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace moecollab::cli {

// The arguments with the options of --config FILE behind them, except those that were given as
// flags or by the environment. E_CONFIG for a file that cannot be read or a key that is no option
// of the verb.
std::vector<std::string> with_config(const CLI::App& verb, std::vector<std::string> arguments);

}  // namespace moecollab::cli
