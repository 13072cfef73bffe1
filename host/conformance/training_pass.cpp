#include "conformance/training_pass.h"

#include <algorithm>
#include <cmath>

namespace moecollab::conformance {

TrainingPass::TrainingPass(Subject& subject, TestExpert& expert, const TestBatch& batch,
                           bool training, uint64_t seed)
    : subject_(subject),
      expert_(expert),
      rows_(batch.view().rows),
      training_(training),
      seed_(seed),
      inputs_((batch.view().hidden == nullptr ? 0 : batch.view().layer_count) +
              (batch.view().pooled == nullptr ? 0 : batch.view().layer_count)),
      place_("the logits of forward_train()", {batch.view().rows, subject.classes()}) {
  const moec_exec exec = subject.exec(training, seed);
  moec_error error = empty_error();
  const moec_status status = subject.train()->forward_train(expert.get(), &exec, &batch.view(),
                                                            &place_.view, &saved_, &error);
  if (status != MOEC_OK) throw CallFailed("forward_train", status, error);
  logits_.assign(place_.floats(), place_.floats() + place_.count());
  place_.memory.take_back();
}

void TrainingPass::release() {
  if (saved_ != nullptr) subject_.train()->release_saved(expert_.get(), saved_);
  saved_ = nullptr;
}

void TrainingPass::vjp(const std::vector<float>& gy, const std::vector<const moec_tensor*>& gx) {
  const std::vector<const moec_tensor*> none(inputs_, nullptr);
  const std::vector<const moec_tensor*>& wanted = gx.empty() ? none : gx;
  GuardedTensor cotangent("gy", {rows_, subject_.classes()});
  std::copy(gy.begin(), gy.end(), cotangent.floats());
  cotangent.memory.make_read_only();
  const moec_exec exec = subject_.exec(training_, ~seed_);  // what was drawn is in *saved
  moec_error error = empty_error();
  const moec_status status = subject_.train()->vjp(expert_.get(), &exec, saved_, &cotangent.view,
                                                   wanted.size(), wanted.data(), &error);
  if (status != MOEC_OK) throw CallFailed("vjp", status, error);
}

std::vector<float> cotangent(size_t n) {
  std::vector<float> gy(n);
  for (size_t i = 0; i < n; ++i) gy[i] = 0.5F + 0.37F * static_cast<float>((i * 7) % 5);
  return gy;
}

void train_once(Subject& subject, TestExpert& expert, const TestBatch& batch) {
  TrainingPass pass(subject, expert, batch);
  pass.vjp(cotangent(pass.logits().size()));
}

bool trainable(Subject& subject, Findings& findings) {
  if (subject.params() != nullptr && subject.train() != nullptr) return true;
  findings.not_applicable("it has not both moecollab.params/1 and moecollab.train/1");
  return false;
}

double greatest(const float* values, size_t count) {
  double most = 0;
  for (size_t i = 0; i < count; ++i)
    most = std::isnan(values[i]) ? INFINITY : std::max(most, std::abs(double{values[i]}));
  return most;
}

}  // namespace moecollab::conformance
