#include "pipeline/answer_stream.h"

#include <chrono>
#include <string>
#include <utility>
#include <variant>

namespace moecollab::pipeline {

AnswerStream::AnswerStream(data::TextSource& source, Predictor& predictor,
                           const AnswerStreamOptions& options, StopToken stop)
    : predictor_(predictor),
      batches_(source, options.batch, options.latency_ms, stop, StopToken(abandoned_)),
      // Beside the batch that the caller waits for: one that is answered after it, and one more.
      asked_(2 * options.batch) {
  reader_ = std::thread([this] { read_ahead(); });
}

AnswerStream::~AnswerStream() {
  abandoned_ = true;
  asked_.close();
  its_turn_.release();
  reader_.join();
  predictor_.drop_waiting();
}

void AnswerStream::read_ahead() {
  try {
    do {
      its_turn_.acquire();
    } while (!abandoned_ && read_until_one_is_alone());
  } catch (...) {
    failure_ = std::current_exception();
  }
  asked_.close();
}

// False at the end, and if nobody takes the answers any more.
bool AnswerStream::read_until_one_is_alone() {
  for (bool alone = false; !alone;) {
    data::TextBatch batch = batches_.next();
    if (batch.items.empty()) return false;
    const auto records = static_cast<int64_t>(batch.items.size());
    Asked asked = ask(std::move(batch));
    alone = asked.alone;
    if (!asked_.push(std::move(asked), records)) return false;
  }
  return true;
}

std::optional<AnswerStream::Asked> AnswerStream::read_here() {
  data::TextBatch batch = batches_.next();
  if (batch.items.empty()) return std::nullopt;
  Asked asked = ask(std::move(batch));
  if (!asked.alone) {
    caller_reads_ = false;
    its_turn_.release();
  }
  return asked;
}

AnswerStream::Asked AnswerStream::ask(data::TextBatch batch) {
  std::vector<std::string> texts;
  for (data::TextItem& item : batch.items) {
    if (auto* record = std::get_if<data::TextRecord>(&item))
      texts.push_back(std::move(record->text));
  }
  // Batches of a file do not depend on time, so that its answers do not either.
  const bool alone = batch.incomplete && texts.size() == 1;
  auto answers = alone ? predictor_.submit_here(std::move(texts))
                       : predictor_.submit(std::move(texts), batch.incomplete);
  return {std::move(batch.items), std::move(answers), alone};
}

void AnswerStream::take(std::optional<Asked> asked) {
  next_ = std::move(asked);
  if (next_ && next_->alone) caller_reads_ = true;
}

std::optional<AnsweredTexts> AnswerStream::next() {
  if (!next_) take(caller_reads_ ? read_here() : asked_.pop());
  if (!next_) {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return std::nullopt;
  }
  Asked asked = *std::exchange(next_, std::nullopt);
  return AnsweredTexts{std::move(asked.items), asked.answers.get()};
}

bool AnswerStream::ready() {
  if (!next_ && !caller_reads_) take(asked_.try_pop());
  return next_ && next_->answers.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

}  // namespace moecollab::pipeline
