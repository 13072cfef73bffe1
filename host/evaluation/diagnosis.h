// What is wrong with a collaboration, found from the figures of one run; torch-free.
#pragma once

#include <string>
#include <vector>

#include "evaluation/figures.h"

namespace moecollab::evaluation {

// Thresholds. What rests on few texts must clear them by the error of that many, at 95 %.
inline constexpr int64_t kLeastTexts = 30;     // of an expert or a run that is judged
inline constexpr double kLeastSpread = 0.5;    // (n_eff − 1) / (n_eff_target − 1)
inline constexpr double kLeastGain = 0.05;     // accuracy above the most frequent label's
inline constexpr double kConfidenceGap = 0.1;  // mean confidence beside accuracy
inline constexpr double kHeldOutGap = 0.05;    // held-out accuracy above that on these texts
inline constexpr double kBatchChange = 1e-3;   // of a share, if a text is encoded alone
inline constexpr double kEditsMoved = 0.1;     // near duplicates routed elsewhere
inline constexpr double kPaddedShare = 0.01;   // of a squared gradient

struct Finding {
  // collapse, dead-space, idle-expert, underfitted-expert, overconfident-expert,
  // underconfident-expert, leaky-hold-out, padded-gradients, batch-dependent-routing,
  // unstable-routing, drift.
  std::string sign;
  // An expert, a label space, a fusion, what has drifted; empty: the collaboration.
  std::string subject;
  double figure, threshold;
  std::string says;    // a sentence
  std::string remedy;  // what to do
};

// In the order above. A sign that too few texts could show is not looked for.
std::vector<Finding> diagnose(const Figures& figures);

}  // namespace moecollab::evaluation
