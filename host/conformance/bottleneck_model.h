// What moecollab.draft.bottleneck/1 says of an expert, computed as its formula stands there.
#pragma once

#include <moecollab/ext/draft/bottleneck.h>

#include <optional>
#include <vector>

#include "conformance/test_batch.h"

namespace moecollab::conformance {

class Subject;
class TestExpert;

// Reads the expert's memory: valid until its parameters or state change, or it is destroyed.
class BottleneckModel {
 public:
  // nullopt if describe() says MOEC_UNSUPPORTED. Throws CallFailed, and std::runtime_error for a
  // model of other sizes than the manifest's or without a matrix.
  static std::optional<BottleneckModel> of(Subject& subject, const TestExpert& expert);

  // Logits [C] of the row's pooled features, in double.
  std::vector<double> logits(const TestBatch::Row& row) const;

 private:
  explicit BottleneckModel(const moec_bottleneck& model) : model_(model) {}
  moec_bottleneck model_;
};

}  // namespace moecollab::conformance
