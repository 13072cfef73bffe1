#include "data/text_batches.h"

#include <algorithm>
#include <chrono>

namespace moecollab::data {

std::vector<TextItem> TextBatches::next() {
  using Clock = std::chrono::steady_clock;
  std::vector<TextItem> items;
  Clock::time_point deadline;
  while (static_cast<int64_t>(items.size()) < size_) {
    if (!items.empty()) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (!source_.ready(static_cast<int>(std::max<int64_t>(0, left)))) break;
    } else {
      do {
        stop_.throw_if_requested("interrupted; every line so far was answered");
      } while (!source_.ready(200));
    }
    std::optional<TextItem> item = source_.next();
    if (!item) break;
    if (items.empty()) deadline = Clock::now() + std::chrono::milliseconds(latency_ms_);
    items.push_back(*std::move(item));
  }
  return items;
}

}  // namespace moecollab::data
