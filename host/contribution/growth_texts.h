// The texts of a growth: what the new rows are fitted on, and what the old domains are checked on.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "contribution/opened_growth.h"
#include "data/dataset.h"
#include "training/answered_texts.h"

namespace moecollab::contribution {

// Texts of a growth, by what they are for.
struct GrowthTexts {
  training::AnsweredTexts fresh;    // of the new domain, to fit on
  int64_t fresh_held_out = 0;       // of these, the first ones
  training::AnsweredTexts judged;   // of the new domain, held out and not among those
  bool judged_is_replayed = false;  // the gate knew the domain: they are in `replay` too
  training::AnsweredTexts replay;   // of the old domains, held out from their experts
  training::AnsweredTexts unseen;   // of the old domains, not seen by their rows; no answers
  std::string source;               // data, routing or mean: where `fresh` comes from
  std::set<std::string> unchecked;  // old domains without replay
};

// Those training files that the growth uses: the new domain's, and those that the gate was fitted
// on. The others are noted and left out. Throws E_DATA_CHANGED for an old domain's file that is not
// the one that the gate was fitted on.
std::vector<data::Dataset> files_of_growth(const pipeline::Pool& pool, const OpenedGrowth& growth,
                                           std::vector<data::Dataset> datasets);

// At most `count` new texts, from the new domain's file or else from a package's
// routing.safetensors; old ones from their files or else from what `train-gate` kept. `datasets`
// as of files_of_growth(), `seed`: the order of texts. Throws E_DATA if nothing is known of the new
// domain, and as training/routing_file.h and training/replay_file.h say.
GrowthTexts collect_growth_texts(pipeline::Pool& pool, const OpenedGrowth& growth,
                                 const std::vector<data::Dataset>& datasets, int64_t count,
                                 uint64_t seed);

}  // namespace moecollab::contribution
