// The paper's ablations, and what each expert adds, of a fitted collaboration.
#pragma once

#include <string>
#include <vector>

#include "base/finished_lines.h"
#include "base/json.h"
#include "base/run_context.h"
#include "data/dataset.h"
#include "pipeline/gate_file.h"
#include "pipeline/pool.h"

namespace moecollab::ablation {

// What is taken apart, and on which texts. Borrowed.
struct Subject {
  pipeline::Pool& pool;
  const pipeline::GateFile& gate;
  fusion::Mode fusion;
  int64_t top_k;
  const std::vector<data::Dataset>& training;  // gates are fitted on their held-out part
  const std::vector<data::Dataset>& judged;
};

// SHA-256 of all that the figures depend on.
std::string digest_of(const Subject& subject, uint64_t seed);

// The steps of these groups (chosen_groups()). Those that the file holds are taken over, each of
// the others is added to it as it ends. Returns
//   reference: figures of the collaboration as it is (Judge::figures());
//   steps: group, name, gate ("same", "refitted" or null), kind (of a refitted gate), figures,
//     change (Judge::change() from the reference), notes, seconds; of `padding`, `gradients`
//     instead of figures and change; failure: why a gate could not be fitted, else null;
//   impact: for each expert, from the steps of `experts`: change (the others share its weight),
//     change_refitted (the gate knew that it is gone), through_gate (their difference), all overall
//     and in points of `by`; null for the only expert of a label space, whose domain is lost.
// Several ranks deal the steps out among them (finish_parts()); only the first has `finished`, and
// returns the result; the others have nullptr, and return null.
// Throws as refits and experts do, but for a fit that diverges, which is that step's failure.
Json ablate(const Subject& subject, const std::vector<std::string>& groups, uint64_t seed,
            FinishedLines* finished, const RunContext& context);

// The key of FinishedLines.
std::string step_key(const Json& line);

}  // namespace moecollab::ablation
