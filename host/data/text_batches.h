// Texts of a stream that are answered together.
#pragma once

#include <cstdint>
#include <vector>

#include "base/run_context.h"
#include "data/text_source.h"

namespace moecollab::data {

// What comes within a latency bound, in order. Borrows the source.
class TextBatches {
 public:
  // At most `size` records of a batch; `latency_ms` after the first, it does not wait for more.
  TextBatches(TextSource& source, int64_t size, int latency_ms, StopToken stop)
      : source_(source), size_(size), latency_ms_(latency_ms), stop_(stop) {}

  // Empty at the end of the input. Throws E_INTERRUPTED if a stop is requested.
  std::vector<TextItem> next();

 private:
  TextSource& source_;
  int64_t size_;
  int latency_ms_;
  StopToken stop_;
};

}  // namespace moecollab::data
