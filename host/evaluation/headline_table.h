// The table that a terminal shows, and that a document begins with.
#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "evaluation/table.h"

namespace moecollab::evaluation {

// A figure of all domains together: accuracies (metric 0) weighted by their texts, macro-F1 (1) as
// the even mean. `key` is its path within a domain. None if one domain has none.
std::optional<double> over_domains(const Json& report, int metric,
                                   std::initializer_list<std::string_view> key);

// The two metrics of a domain, in the order of their rows.
inline constexpr const char* kMetricKeys[] = {"accuracy", "macro_f1"};
inline constexpr const char* kMetricNames[] = {"accuracy", "macro-F1"};

// The paper's table and ours beside it: Domain, Metric, Baseline, Expert, MoECollab, Oracle,
// Task-aware, Routing, n. Two rows per domain (accuracy, macro-F1) and two for all together:
// accuracies over all texts, macro-F1 as the mean of the domains'.
Table headline_table(const Json& report);

}  // namespace moecollab::evaluation
