// The command line: flags -> typed options -> one call of the engine.
#pragma once

#include <string>
#include <vector>

namespace moecollab::cli {

// Runs the program for these arguments (argv[0] left out) and returns the exit status, as
// docs/operating.md lists them. Prints data on stdout and everything else on stderr; never throws.
int run(const std::vector<std::string>& arguments);

// Whether a verb has opened the engine, and with it LibTorch.
bool engine_is_open();

}  // namespace moecollab::cli
