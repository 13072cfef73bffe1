// An expert that is made from what another one has learnt.
#pragma once

#include <vector>

#include "conformance/test_expert.h"

namespace moecollab::conformance {

// The answers of an expert that create() makes with these tensors as its weights, to rows that are
// the same for each.
std::vector<float> answers_of_reborn(Subject& subject,
                                     const std::vector<TestExpert::Learnt>& learnt);
std::vector<TestBatch::Row> rows_of_reborn(const TestExpert& expert);

// The same in a process in which nobody ever learnt: what a library keeps outside of its weights is
// not there. Begin it before anything is taught.
class NewProcess {
 public:
  explicit NewProcess(Subject& subject);
  ~NewProcess();
  NewProcess(const NewProcess&) = delete;

  // Empty if it ended without an answer. Once.
  std::vector<float> answers(const std::vector<TestExpert::Learnt>& learnt);

 private:
  int child_ = -1, to_child_ = -1, from_child_ = -1;
};

}  // namespace moecollab::conformance
