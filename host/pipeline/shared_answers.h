// An expert's answers that ranks compute for each other.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <span>
#include <string>

#include "base/ranks.h"

namespace moecollab::pipeline {

// What `forward` gives for all rows, [n, classes] float32: each rank calls it with the rows of its
// shards. Rows, expert and classes are the same on all ranks. Throws as Ranks::exchange(), and
// E_DIST if a rank computed something else.
at::Tensor share_answers(Ranks& ranks, const std::string& expert, int64_t classes,
                         std::span<const int64_t> rows,
                         const std::function<at::Tensor(const std::vector<int64_t>&)>& forward);

}  // namespace moecollab::pipeline
