// Judging a collaboration: every figure of the report, from one pass over the texts. What reads
// LibTorch's and the pipeline's types ends here: sections make JSON of plain figures (figures.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/run_context.h"
#include "data/dataset.h"
#include "evaluation/run.h"
#include "evaluation/seen_texts.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"

namespace moecollab::evaluation {

struct EvaluationContext {
  std::string command;
  uint64_t seed = 1;  // of the untrained baseline head
  Arrangement arrangement = Arrangement::kShared;
  bool probe_routing = false;
  bool examples = true;  // keep some texts that were answered otherwise than by the best expert
  SeenTexts seen;        // in training
  Baselines baselines;
  Json training = nullptr;  // training_json() of the registry's histories
};

// Evaluates on each domain's texts and gives the figures that the report is made from; what this
// version does not compute, or could not, is empty. `notes` says why, as far as it was said before;
// why figures of the texts are null is added. `gate` is the file that the collaboration was made
// from.
Figures evaluate(pipeline::Collaboration& collaboration, const pipeline::GateFile& gate,
                 const std::vector<data::Dataset>& datasets, EvaluationContext& context,
                 const CollectingLog& notes);

}  // namespace moecollab::evaluation
