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

// For each example, the fold of `count` whose model does not learn from it: 0 if it is held out;
// 1 to count − 1 for the others, which take turns label by label in the order of their texts'
// SHA-256; −1 if count is 1, or if its label has no second text. Depends on what held_out() does. A
// text with several labels has the fold that the first of them, by name, gives it.
std::vector<int32_t> folds(const Dataset& dataset, int32_t count);

// How many examples of all of them are held out.
int64_t count_held_out(std::span<const Dataset> datasets);

// Throws E_DATA naming the files if that is none.
void require_held_out(std::span<const Dataset> datasets);

}  // namespace moecollab::data
