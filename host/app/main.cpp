#include <cstdlib>

#include "cli/cli.h"

int main(int argc, char** argv) {
  const int status = moecollab::cli::run({argv + 1, argv + argc});
  if (!moecollab::cli::engine_is_open()) return status;
  // LibTorch takes a twentieth of a second to take itself apart, and nothing of it is needed.
  std::quick_exit(status);
}
