// Judging a collaboration: every figure of the report, from one pass over the texts.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/dataset.h"
#include "evaluation/run.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"

namespace moecollab::evaluation {

struct EvaluationContext {
  std::string command;
  uint64_t seed = 1;  // of the untrained baseline head
  std::map<std::string, std::string>
      training_files;  // domain -> file, to count texts seen in training
  Baselines baselines;
  Json training = nullptr;         // training_json() of the registry's histories
  std::vector<std::string> notes;  // why a figure is null, for the report
};

// Evaluates on each domain's texts and gives the report of design page 6 ("moecollab.report/1");
// what this version does not compute, or could not, is null, and `notes` says why. `gate` is the
// file that the collaboration was made from.
Json evaluate(pipeline::Collaboration& collaboration, const pipeline::GateFile& gate,
              const std::vector<data::Dataset>& datasets, EvaluationContext& context);

}  // namespace moecollab::evaluation
