// A program that is run and waited for.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"

namespace moecollab {

struct Finished {
  int status = 0;      // exit status; 128 + signal if a signal ended it
  std::string output;  // of its standard output, at most kMaxOutput
};
inline constexpr size_t kMaxOutput = size_t{64} << 20;  // bytes

// Runs the program with these arguments, the environment and standard error of this process and
// nothing to read, and waits for it. Throws E_INTERNAL if it cannot be started.
Finished run_program(const fs::path& program, const std::vector<std::string>& arguments);

}  // namespace moecollab
