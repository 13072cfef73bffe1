// Who is the best expert of a label space alone, by held-out training texts.
#pragma once

#include "pipeline/gate_file.h"
#include "pipeline/pool.h"

namespace moecollab::evaluation {

// Its index among the gate's experts; the first of equal ones. Those whose answers on these texts
// come from models that did not train on them go before all others. Throws E_GATE if none of them
// answers in the space.
size_t best_expert(const std::vector<pipeline::InstalledExpert*>& experts,
                   const pipeline::GateFile& gate, const fusion::LabelUnion& labels, int space);

}  // namespace moecollab::evaluation
