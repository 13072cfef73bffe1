// Learning from installed experts beside the labels (Hinton et al. 2015, arXiv 1503.02531).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "contribution/lesson.h"
#include "fusion/label_space.h"
#include "pipeline/pool.h"

namespace moecollab::contribution {

// What the texts of a lesson are learnt as.
struct Distillation {
  // [n, C] float32: half the label, half the mean of what the teachers say, each at the temperature
  // that makes it as sure as it is right; the label alone if a teacher has no honest answer.
  at::Tensor targets;
  int64_t texts = 0;  // that every teacher answers honestly: by a model that did not learn them
  std::vector<std::string> teachers;  // names
  std::vector<std::string> packages;  // their SHA-256
};
// For the provenance of the expert that learns so.
Json to_json(const Distillation& distillation);

// From the teachers' answers in registry/heldout/. Throws E_CONFIG for a name that stands twice or
// is no ready expert's, a teacher without such answers, one that answers in another space than
// `space` or in other labels, and E_DATA if no text has all answers.
Distillation distil(pipeline::Pool& pool, const std::vector<std::string>& teachers,
                    const Lesson& lesson, const fusion::LabelSpace& space);

}  // namespace moecollab::contribution
