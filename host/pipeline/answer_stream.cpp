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
  reader_ = std::thread([this] { read(); });
}

AnswerStream::~AnswerStream() {
  abandoned_ = true;
  asked_.close();
  reader_.join();
  predictor_.drop_waiting();
}

void AnswerStream::read() {
  try {
    for (data::TextBatch batch = batches_.next(); !batch.items.empty(); batch = batches_.next()) {
      if (!ask(std::move(batch))) break;
    }
  } catch (...) {
    failure_ = std::current_exception();
  }
  asked_.close();
}

// False if nobody takes the answers any more.
bool AnswerStream::ask(data::TextBatch batch) {
  std::vector<std::string> texts;
  for (data::TextItem& item : batch.items) {
    if (auto* record = std::get_if<data::TextRecord>(&item))
      texts.push_back(std::move(record->text));
  }
  const auto records = static_cast<int64_t>(batch.items.size());
  // Batches of a file do not depend on time, so that its answers do not either.
  const bool lone = batch.incomplete && texts.size() == 1;
  Asked asked{std::move(batch.items), lone ? predictor_.submit_here(std::move(texts))
                                           : predictor_.submit(std::move(texts), batch.incomplete)};
  return asked_.push(std::move(asked), records);
}

std::optional<AnsweredTexts> AnswerStream::next() {
  if (!next_) next_ = asked_.pop();
  if (!next_) {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return std::nullopt;
  }
  Asked asked = *std::exchange(next_, std::nullopt);
  return AnsweredTexts{std::move(asked.items), asked.answers.get()};
}

bool AnswerStream::ready() {
  if (!next_) next_ = asked_.try_pop();
  return next_ && next_->answers.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

}  // namespace moecollab::pipeline
