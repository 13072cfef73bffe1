// From the labels in a data file to ids of the union.
#pragma once

#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "fusion/label_space.h"

namespace moecollab::pipeline {

// Global id of each example's label [n]. Throws E_DATA with file and line for a label that the
// space does not hold, naming the nearest.
std::vector<int> target_ids(const data::Dataset& dataset, const fusion::LabelUnion& labels,
                            int space);

// Views of the texts, valid as long as the dataset.
std::vector<std::string_view> text_views(const data::Dataset& dataset);

}  // namespace moecollab::pipeline
