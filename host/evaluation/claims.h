// Whether the figures that an expert's author promises come out here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "pipeline/pool.h"

namespace moecollab::evaluation {

struct ClaimResult {
  enum class Verdict { kHeld, kNotHeld, kNoData };
  registry::Claim claim;
  Verdict verdict = Verdict::kNoData;
  std::optional<double> seen;  // the figure, if it could be taken
  int64_t texts = 0;
  std::string reason;  // why there is no figure; else empty
};

// "held", "not held", "no data".
std::string_view name(ClaimResult::Verdict verdict);

// Takes the metric of each claim, in the order of the manifest: the expert alone on the dataset
// that has the claim's digest, in the labels of the expert's space. It is held if the figure is at
// least value - tolerance: better than promised is held, too. A claim has no data if no dataset has
// its digest, if its labels are not of the space, or for a metric that this version does not know.
// Throws as the expert's forward pass and E_ENCODER.
std::vector<ClaimResult> verify_claims(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                                       std::span<const data::Dataset> datasets);

}  // namespace moecollab::evaluation
