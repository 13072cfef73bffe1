// Compiled with OpenMP, without which at::parallel_for() is a plain loop.
#include "encoder/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#ifndef _OPENMP
#error "compile this file with OpenMP"
#endif

namespace moecollab::encoder {

void for_each_in_parallel(int64_t n, const std::function<void(int64_t)>& work) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(n, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < n; i = next++) work(i);
  });
}

}  // namespace moecollab::encoder
