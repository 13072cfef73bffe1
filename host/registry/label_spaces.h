// Whether the experts that name a label space mean the same labels by it.
#pragma once

#include <vector>

#include "registry/registry_file.h"
#include "registry/resolution.h"

namespace moecollab::registry {

// Compares every candidate in state `manifest ok` or beyond with the definition of its label space:
// the operator's, else that of the first candidate whose labels are not partial. The same set in
// any order agrees; a subset agrees with partial = true; anything else is refused with
// E_DESC_LABELS naming the first difference. Of two candidates that disagree the later one is
// refused.
void check_label_spaces(const std::vector<LabelSpace>& declared,
                        std::vector<Candidate>& candidates);

}  // namespace moecollab::registry
