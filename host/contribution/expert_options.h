// What is asked of the training of one expert. Torch-free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "contribution/recipe.h"

namespace moecollab::contribution {

struct CheckpointOptions {
  bool resume = false;  // continue an interrupted run
  double seconds = 30;  // how often one is written
};

struct ExpertOptions {
  std::string name;              // of the expert, in the registry
  std::string kind;              // as find_kind() takes it
  std::string domain;            // whose training file it learns from
  Json config = Json::object();  // over the manifest's [config]
  RecipeOverrides recipe;
  std::vector<std::string> distill;  // installed experts that it learns from, too
  CheckpointOptions checkpoints;
  bool force = false;  // if the expert is installed, install its next version
  uint64_t seed = 1;
};

}  // namespace moecollab::contribution
