// The histories that training left in a registry.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "base/run_context.h"

namespace moecollab::evaluation {

// `training` of a report (training_json()) from gate/history.jsonl and history/<expert>.jsonl of
// these experts; what is not there is left out. `notes` names a file that cannot be read.
Json read_training(const fs::path& registry, const std::vector<std::string>& experts,
                   CollectingLog& notes);

}  // namespace moecollab::evaluation
