// A problem that any learner solves: each label has a word, a token and features of its own.
#pragma once

#include <vector>

#include "conformance/test_expert.h"

namespace moecollab::conformance {

// Rows whose label stands in their text and in their features.
struct Toy {
  Toy(Subject& subject, const TestExpert& expert, size_t n);
  // A text of its own, in which nothing says its label.
  void make_unlike_others(size_t row);
  Lessons lessons(int epochs) const { return {.rows = rows, .labels = labels, .epochs = epochs}; }
  std::vector<TestBatch::Row> rows;
  std::vector<int32_t> labels;
};

// The loss of a guess that knows nothing: ln of the number of classes.
double chance(const Subject& subject);

// The expert's mean loss on the toy's rows.
double loss_of(Subject& subject, TestExpert& expert, const Toy& toy);

}  // namespace moecollab::conformance
