// Texts as they come, and their answers in the same order.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <future>
#include <optional>
#include <semaphore>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/run_context.h"
#include "data/text_batches.h"
#include "pipeline/predictor.h"

namespace moecollab::pipeline {

// Records that were read together. The texts of `items` were given away; each has an answer, in
// their order, and the records that cannot be read have none.
struct AnsweredTexts {
  std::vector<data::TextItem> items;
  std::vector<Prediction> answers;
};

struct AnswerStreamOptions {
  int64_t batch = 128;  // records answered together at most
  int latency_ms = 0;   // how long fewer wait for more
};

// Texts that come alone are read and answered on the caller's thread. As soon as more come, a
// thread of its own reads ahead and asks the predictor while the caller uses the answers before:
// what arrives while the predictor is busy is its next batch. At most four batches are in memory.
// Borrows source and predictor, which nobody else may use meanwhile. To be used by one thread.
class AnswerStream {
 public:
  AnswerStream(data::TextSource& source, Predictor& predictor, const AnswerStreamOptions& options,
               StopToken stop);
  // Ends the reading. Texts that still wait are not answered.
  ~AnswerStream();
  AnswerStream(const AnswerStream&) = delete;
  AnswerStream& operator=(const AnswerStream&) = delete;

  // The next records, waiting for them and for their answers; none at the end. Throws what reading
  // threw (at a stop: E_INTERRUPTED) after everything read before, and what answering threw.
  std::optional<AnsweredTexts> next();
  // Whether next() has something to give without waiting. False while texts come alone.
  bool ready();

 private:
  struct Asked {
    std::vector<data::TextItem> items;
    std::future<std::vector<Prediction>> answers;
    bool alone = false;  // a text that came alone: answered by who read it, the caller reads next
  };

  void read_ahead();
  bool read_until_one_is_alone();
  std::optional<Asked> read_here();
  Asked ask(data::TextBatch batch);
  void take(std::optional<Asked> asked);

  Predictor& predictor_;
  std::atomic<bool> abandoned_ = false;
  data::TextBatches batches_;
  BoundedQueue<Asked> asked_;  // by records
  std::optional<Asked> next_;
  bool caller_reads_ = true;                // else the reader, which alone fills asked_
  std::counting_semaphore<2> its_turn_{0};  // the reader's; the end is one more
  std::exception_ptr failure_;              // of the reader; settled before asked_ is closed
  std::thread reader_;                      // the last member: it uses all others
};

}  // namespace moecollab::pipeline
