// The texts that one expert learns from.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/run_context.h"
#include "contribution/recipe.h"
#include "data/data_location.h"
#include "data/dataset.h"
#include "fusion/label_space.h"

namespace moecollab::contribution {

// n texts; the views are valid as long as their dataset.
struct Lesson {
  std::vector<std::string_view> texts;
  std::vector<int32_t> labels;  // class ids
  std::vector<int32_t> folds;   // data::folds()
  std::vector<float> weights;   // > 0, or empty: all 1
  at::Tensor targets;           // [n, C] shares of the labels; undefined: the labels are meant
};

// Weights > 0 of training texts, by the text. Texts that are not named have 1.
using TextWeights = std::unordered_map<std::string, float>;

// The domain's training file, read whole. Throws E_DATA naming the nearest domain if there is none,
// and as require_lesson().
data::Dataset read_training_file(const data::DataOptions& options, const std::string& domain,
                                 Log log);

// Throws E_DATA unless an expert can be made of it: two labels or more, all of which a package can
// state, and one with two texts, so that some are held out.
void require_lesson(const data::Dataset& dataset);

// The dataset's texts in so many folds, their labels as positions in the space, their weights the
// product of the class weights and `weights`. Throws E_DATA for a label that the space does not
// hold.
Lesson lesson_of(const data::Dataset& dataset, const fusion::LabelSpace& space, int32_t folds,
                 ClassWeights class_weights, const TextWeights& weights);

}  // namespace moecollab::contribution
