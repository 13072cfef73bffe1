// The arguments that an expert's process is started with.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "worker/engine_side.h"

namespace moecollab::worker {

struct LaunchWords {
  pid_t host = 0;       // the process that it ends with
  uint64_t memory = 0;  // bytes that the expert may take
  std::string engine;   // the engine library; "": the expert needs none
  EngineArguments arguments = {};
};

std::vector<std::string> launch_words(const LaunchWords& words);
// Their inverse. Throws std::exception for other words.
LaunchWords parse_words(const std::vector<std::string>& words);

}  // namespace moecollab::worker
