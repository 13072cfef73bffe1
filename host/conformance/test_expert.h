// One object of the library under test, and what a host does with it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "conformance/check.h"
#include "conformance/subject.h"

namespace moecollab::conformance {

// What an expert that fits itself is taught.
struct Lessons {
  std::vector<TestBatch::Row> rows;
  std::vector<int32_t> labels;
  std::vector<float> weights = {};  // none: 1 each
  int epochs = 20;
  size_t batch = 0;  // rows of a call; 0: all
  // Epochs follow even if it wants no more.
  bool whatever_it_wants = false;
  // Each epoch has another order.
  bool shuffled = false;
  // Each call is lent a batch of its own, which is then taken back.
  bool briefly = false;
  // Called if fit_batch() says MOEC_CANCELLED, which is then made once more.
  std::function<void()> again_if_stopped = {};
  // Called after fit_epoch_end(), before fit_end().
  std::function<void(int epoch, bool wants_more)> after_epoch = {};
};

// One object of the library. Parameters, if it has any, are bound to guarded storage and hold
// the package's weights or initial values; an expert that fits itself and has no weights has learnt
// a toy set. Every call throws CallFailed for a status other than MOEC_OK.
class TestExpert {
 public:
  explicit TestExpert(Subject& subject, uint64_t seed = 1, bool ready = true);
  ~TestExpert();
  TestExpert(const TestExpert&) = delete;

  moec_expert* get() const { return object_; }
  // What it said when it was made.
  const moec_requirements& requirements() const { return requirements_; }
  // Adds a finding if it says another thing now.
  void require_same_requirements(const char* when, Findings& findings) const;
  // Logits [rows · classes] in guarded memory; `outside` (if given) says what was written round it.
  std::vector<float> forward(const TestBatch& batch, std::string* outside = nullptr);
  std::vector<float> forward(const TestBatch& batch, const moec_exec& exec,
                             std::string* outside = nullptr);
  // `rows`, or its largest batch if that is smaller.
  size_t at_most(size_t rows) const;
  std::vector<TestBatch::Row> rows(size_t count, uint64_t seed) const;
  TestBatch batch(const std::vector<TestBatch::Row>& rows, bool read_only = true) const;

  std::vector<Parameter>& parameters() { return parameters_; }
  void params_changed();
  // Adds small numbers that the seed decides to all that is trainable, ten times the deviation for
  // values of size 1, and says that they changed.
  void vary(uint32_t seed, float deviation);
  // Binds new storage, which holds the package's weights or initial values.
  void bind(uint64_t seed);
  // Binds new storage that holds the same values; gives the old, which is the host's again.
  std::vector<Parameter> rebind();
  struct Learnt {
    std::string name;
    std::unique_ptr<GuardedTensor> tensor;
  };
  // All that it has learnt, parameters and then state: what weights.safetensors would hold. Adds a
  // finding if state.read() leaves an element, gives one that is not finite, or writes elsewhere.
  std::vector<Learnt> learnt(Findings& findings) const;

  void fit(const Lessons& lessons);
  // fit_begin() and one batch; no more.
  void begin_and_leave(const Lessons& lessons);

 private:
  // What describe() says, with storage full of `value`.
  std::vector<Parameter> described_parameters(float value) const;
  void bind_storage();

  Subject& subject_;
  moec_expert* object_ = nullptr;
  moec_requirements requirements_{};
  std::vector<Parameter> parameters_;
};

// Whether its answers can be compared; says why not.
bool deterministic(const Subject& subject, Findings& findings);

// Logits of rows that are asked for one batch after another if one may not hold them all.
std::vector<float> forward_all(TestExpert& expert, const std::vector<TestBatch::Row>& rows);

}  // namespace moecollab::conformance
