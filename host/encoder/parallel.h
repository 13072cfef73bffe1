// Work for all threads of LibTorch's pool.
#pragma once

#include <cstdint>
#include <functional>

namespace moecollab::encoder {

// Calls work(i) for each i in [0, n): every thread takes the next one as soon as it is free. What
// work() calls of LibTorch runs on its own thread alone. Throws what a call of work() threw, once
// all threads have ended.
void for_each_in_parallel(int64_t n, const std::function<void(int64_t)>& work);

}  // namespace moecollab::encoder
