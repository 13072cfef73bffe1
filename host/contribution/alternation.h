// Alternation: experts learn again on what the gate sends them, then the gate is fitted, for as
// long as the held-out loss falls.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "contribution/alternation_options.h"
#include "contribution/round.h"
#include "contribution/unfinished_rounds.h"
#include "data/dataset.h"
#include "pipeline/pool.h"

namespace moecollab::contribution {

// What a fit of the gate on the held-out texts came to.
struct GateFitSummary {
  std::optional<double> held_out_loss;  // L_task on those it was not fitted on; none: too few
  int64_t texts = 0;                    // held out
};

struct Alternation {
  std::vector<Round> rounds;
  int kept = 0;              // the last round that was
  double held_out_loss = 0;  // of it
};
Json to_json(const Alternation& alternation);

// Throws E_CONFIG for a number of rounds or epochs outside its range.
void validate(const AlternationOptions& options);

// The experts that will learn again, and the digest of each one's kind (in a joint round: ""),
// found by the manifests alone, before the first gate is fitted; refuses what alternate() would.
// Throws E_DATA if fewer than 5 texts are held out, E_TRAIN_UNSUPPORTED if no expert with data was
// trained here, and as plan_expert() and require_lesson() for those that will learn again.
std::map<std::string, std::string> require_pupils(const AlternationOptions& options,
                                                  const std::vector<data::Dataset>& datasets,
                                                  const fs::path& registry);

// `fit_gate` fits the registry's gate on the datasets and writes it. In a round every expert of the
// gate that was trained here learns again, its texts weighted by g_e(x), or with `joint` as
// train_jointly() says. The first round that does not lower the held-out loss is undone and the
// last; so is one that throws. Continues `run` where it was interrupted, and removes it at the end.
// Throws E_DATA if too few texts are held out to tell, E_TRAIN_UNSUPPORTED if no expert was trained
// here, E_INTERRUPTED.
Alternation alternate(const AlternationOptions& options, const std::vector<data::Dataset>& datasets,
                      const pipeline::PoolOptions& open,
                      const std::function<GateFitSummary()>& fit_gate, UnfinishedRounds& run);

}  // namespace moecollab::contribution
