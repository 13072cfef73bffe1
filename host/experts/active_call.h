// Which expert's code a thread is in, for who must say it after a crash.
#pragma once

#include <string>

namespace moecollab::experts {

// From its making to its end this thread is in that call of that expert, whose names outlive it.
// Made and ended in the reverse order.
class ActiveCall {
 public:
  ActiveCall(const std::string& expert, const char* call) noexcept;
  ~ActiveCall();
  ActiveCall(const ActiveCall&) = delete;
  ActiveCall& operator=(const ActiveCall&) = delete;

 private:
  const char *expert_before_, *call_before_;
};

// From now on a signal that ends this process while a thread is in an expert names both on standard
// error first. Signals that somebody handles already stay as they are.
void name_experts_in_crashes();

}  // namespace moecollab::experts
