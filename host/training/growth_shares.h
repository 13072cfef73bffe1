// The second factor of a gate that grows: how the experts of the new ones' space share it.
#pragma once

#include <ATen/ATen.h>

#include "training/growth.h"

namespace moecollab::training {

// Fits the shares of all experts of the new ones' space on those of the texts that are of it and
// whose labels and answers by all of them are known, and guards them. Without such a text the old
// experts keep theirs, and each new one gets their mean. Fills `shares` and `guard`, whose expert
// is an index among the setting's.
void share_space(const GrowthSetting& setting, const AnsweredTexts& texts, const ShareFit& fit,
                 NewRows& rows);

// [n, S + 1] float64: what each space's share of a gate in two factors is worth to a text, the new
// one last and shared as `shares` say: what its experts together give the text's label. If a label
// is not known, 1 for the text's own space, else 0; an expert whose answer is not known counts as
// knowing nothing.
at::Tensor worth_of_spaces(const GrowthSetting& setting, const SpaceShares& shares,
                           const AnsweredTexts& texts);

}  // namespace moecollab::training
