#include "data/text_batches.h"

#include <algorithm>
#include <utility>

namespace moecollab::data {
namespace {

constexpr int kLookMs = 100;  // between two looks at the tokens
constexpr const char* kInterrupted = "interrupted; every line so far was answered";

}  // namespace

TextBatch TextBatches::next() {
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  TextBatch batch;
  for (bool ready = false; !ready;) {
    stop_.throw_if_requested(kInterrupted);
    if (abandoned_.requested()) return batch;
    ready = source_.ready(kLookMs);
  }
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(latency_ms_);
  try {
    while (static_cast<int64_t>(batch.items.size()) < size_) {
      if (!batch.items.empty() && !comes_by(deadline)) {
        batch.incomplete = true;
        break;
      }
      std::optional<TextItem> item = source_.next();
      if (!item) break;
      batch.items.push_back(*std::move(item));
    }
  } catch (...) {
    if (batch.items.empty()) throw;
    failure_ = std::current_exception();
  }
  // Ctrl-C in a shell also ends who writes the pipe: the end is no success then.
  if (batch.items.empty()) stop_.throw_if_requested(kInterrupted);
  return batch;
}

// Whether the source has more, or its end, before the deadline.
bool TextBatches::comes_by(Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (source_.ready(static_cast<int>(std::clamp<int64_t>(left, 0, kLookMs)))) return true;
    if (left <= 0 || stop_.requested() || abandoned_.requested()) return false;
  }
}

}  // namespace moecollab::data
