#include "base/run_context.h"

#include "base/error.h"

namespace moecollab {

void CollectingLog::write(const Message& message) {
  keep(std::string(message.text));
  next_.write(message);
}

void CollectingLog::keep(std::string text) {
  const std::lock_guard lock(mutex_);
  texts_.push_back(std::move(text));
}

std::vector<std::string> CollectingLog::texts() const {
  const std::lock_guard lock(mutex_);
  return texts_;
}

void StopToken::throw_if_requested(const char* message, const char* hint) const {
  if (requested()) throw Error("E_INTERRUPTED", message, hint);
}

Progress RunContext::progress(std::string what, std::string unit, int64_t total,
                              int64_t done) const {
  if (displays == nullptr) return {};
  return Progress(displays->open({std::move(what), std::move(unit), total, done}));
}

}  // namespace moecollab
