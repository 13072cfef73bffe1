// The table that a terminal shows, and that a document begins with.
#pragma once

#include "base/json.h"
#include "evaluation/table.h"

namespace moecollab::evaluation {

// The two metrics of a domain, in the order of their rows.
inline constexpr const char* kMetricKeys[] = {"accuracy", "macro_f1"};
inline constexpr const char* kMetricNames[] = {"accuracy", "macro-F1"};

// The paper's table and ours beside it: Domain, Metric, Baseline, Expert, MoECollab, Oracle,
// Task-aware, Routing, n. Two rows per domain (accuracy, macro-F1) and two for all together:
// accuracies over all texts, macro-F1 as the mean of the domains'.
Table headline_table(const Json& report);

}  // namespace moecollab::evaluation
