// The training texts that experts do not train on, so that gate and temperatures can be fitted on
// them (stacking).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.h"

namespace moecollab::data {

// For each example, whether it is held out.
//
// Per label, the floor(n / 5) of its n distinct texts with the smallest SHA-256 of their bytes are
// held out, at least 1 if n >= 2 (none if n = 1). A text that any of its labels
// chooses is held out wherever it stands, so a text is never on both sides; a label that shares
// texts with others may for that reason lose more than a fifth. Depends on the set of (text, label)
// pairs only: not on the order of lines, not on repetitions, not on a seed.
std::vector<bool> held_out(const Dataset& dataset);

// How many examples of all of them are held out.
int64_t count_held_out(std::span<const Dataset> datasets);

// Throws E_DATA naming the files if that is none.
void require_held_out(std::span<const Dataset> datasets);

}  // namespace moecollab::data
