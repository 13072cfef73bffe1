// Texts of a stream that are answered together.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <vector>

#include "base/run_context.h"
#include "data/text_source.h"

namespace moecollab::data {

struct TextBatch {
  std::vector<TextItem> items;
  bool incomplete = false;  // nothing more was there in time
};

// What is there, in order. Borrows the source. Not thread-safe.
class TextBatches {
 public:
  // At most `size` records of a batch. An incomplete one waits for more until `latency_ms` after
  // its first record; 0: it takes what is there at once. `abandoned`: nobody wants any more.
  TextBatches(TextSource& source, int64_t size, int latency_ms, StopToken stop,
              StopToken abandoned = {})
      : source_(source), size_(size), latency_ms_(latency_ms), stop_(stop), abandoned_(abandoned) {}

  // Waits for the first record. Empty at the end of the input, or if abandoned. Throws
  // E_INTERRUPTED if a stop is requested, and what the source throws, both after the records that
  // came before; a further call continues. A wait sees either token within a tenth of a second.
  TextBatch next();

 private:
  using Clock = std::chrono::steady_clock;

  bool comes_by(Clock::time_point deadline);

  TextSource& source_;
  int64_t size_;
  int latency_ms_;
  StopToken stop_, abandoned_;
  std::exception_ptr failure_;  // of the source, after the records of the batch before
};

}  // namespace moecollab::data
