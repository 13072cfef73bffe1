// The results of a sweep over λ1 and λ2 as summary, table, CSV and page; torch-free.
//
// `sweep` is what `moecollab sweep --json` prints ("moecollab.sweep/1"): `points`, each with
// `lambda1`, `lambda2` and `held_out` (null if the fit diverged), and `judged_by`, the accuracy
// that decides.
#pragma once

#include <string>

#include "base/json.h"
#include "evaluation/tables_page.h"

namespace moecollab::evaluation {

inline constexpr char kSweepSchema[] = "moecollab.sweep/1";

// {"best", "balanced", "reference"}: the point of the highest held-out accuracy (of equal ones the
// lowest task loss), the same among those with n_eff / n_eff_target in [0.95, 1.05], and λ1 = λ2 =
// 0. Each has its λ, its figures, and the changes against the reference: `accuracy_change` as a
// fraction, `utilisation_change` {soft, hard} relative to the reference's. Null if there is
// none.
Json sweep_summary(const Json& sweep);

// A line per point, RFC 4180.
std::string sweep_csv(const Json& sweep);

// What the terminal shows: the summary in words. `sweep` includes it.
std::string sweep_text(const Json& sweep);

// Accuracy, utilisation, effective label spaces and entropy over λ1 × λ2. Throws E_DATA for a
// document of another form.
TablesPage sweep_page(const Json& sweep);

}  // namespace moecollab::evaluation
