// One forward_train() of a check, and what the library saved for its vjp().
#pragma once

#include <algorithm>
#include <vector>

#include "conformance/check.h"
#include "conformance/test_expert.h"

namespace moecollab::conformance {

// The batch lives as long as the pass. All else that forward_train() was lent is taken back
// after it. Calls throw CallFailed.
class TrainingPass {
 public:
  // `seed`: of exec, which decides what is dropped if `training`.
  TrainingPass(Subject& subject, TestExpert& expert, const TestBatch& batch, bool training = true,
               uint64_t seed = 1);
  ~TrainingPass() { release(); }
  TrainingPass(const TrainingPass&) = delete;

  void release();
  const std::vector<float>& logits() const { return logits_; }
  // Adds to the parameters' gradients; gx in the order of vjp, or empty: none is asked for.
  void vjp(const std::vector<float>& gy, const std::vector<const moec_tensor*>& gx = {});

 private:
  Subject& subject_;
  TestExpert& expert_;
  int64_t rows_;
  bool training_;
  uint64_t seed_;
  size_t inputs_;  // float inputs of the batch
  std::vector<float> logits_;
  GuardedTensor place_;  // of the logits
  moec_saved* saved_ = nullptr;
};

// Numbers that differ from element to element and are none too small: a gy for n logits.
std::vector<float> cotangent(size_t n);

// forward_train() and vjp() of cotangent(): adds to the expert's gradients.
void train_once(Subject& subject, TestExpert& expert, const TestBatch& batch);

// Everything that gradients are judged with. Dropout and the like are the same in each call, since
// the seed is.
struct TrainingScene {
  explicit TrainingScene(Subject& subject)
      : expert(subject, 3),
        rows(expert.rows(expert.at_most(3), 4)),
        batch(expert.batch(rows, false)),
        gy(cotangent(rows.size() * static_cast<size_t>(subject.classes()))) {
    if (expert.parameters().empty()) expert.bind(3);
    expert.vary(5, 0.02F);  // initial values are often 0, and there much has no gradient
  }
  void zero_gradients() {
    for (auto& p : expert.parameters()) std::fill_n(p.grad->floats(), p.grad->count(), 0.0F);
  }
  // One after the other, in the order of the parameters.
  std::vector<float> gradients() {
    std::vector<float> all;
    for (auto& p : expert.parameters())
      all.insert(all.end(), p.grad->floats(), p.grad->floats() + p.grad->count());
    return all;
  }

  TestExpert expert;
  std::vector<TestBatch::Row> rows;
  TestBatch batch;
  std::vector<float> gy;
};

// Whether it can be trained by the host; says why not.
bool trainable(Subject& subject, Findings& findings);

// The greatest magnitude; infinite if one is NaN.
double greatest(const float* values, size_t count);

}  // namespace moecollab::conformance
