// A call for many rows as calls of few.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "encoder/features.h"

namespace moecollab::experts {

// What `ask` gives [n, C] for the rows, in calls of at most `most` of them; 0: any number.
inline at::Tensor in_batches(const encoder::Features& rows, int64_t most,
                             const std::function<at::Tensor(const encoder::Features&)>& ask) {
  const int64_t n = rows.rows();
  if (most == 0 || n <= most) return ask(rows);
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < n; first += most)
    parts.push_back(ask(rows.slice(first, std::min(most, n - first))));
  return at::cat(parts);
}

}  // namespace moecollab::experts
