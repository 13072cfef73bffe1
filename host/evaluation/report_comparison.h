// Two reports beside each other: what the later collaboration answers otherwise, on the same texts.
#pragma once

#include <string>

#include "base/json.h"
#include "evaluation/report.h"
#include "evaluation/section.h"

namespace moecollab::evaluation {

inline constexpr char kComparisonSchema[] = "moecollab.comparison/1";

// What `b` changes against `a`, per domain and overall; keys: docs/report.md. A domain is paired if
// both reports are of the same file (by SHA-256) and say of each text whether it was answered
// right; overall are the paired domains. Throws E_DATA if one is no report, or if no domain is in
// both.
Json compare_reports(const Json& a, const Json& b);

// The comparison as a table for a terminal, and what was not compared.
std::string comparison_text(const Json& comparison);

// Shows report["comparison"] on the pages of a report.
Section comparison_section();

}  // namespace moecollab::evaluation
