// How an expert in this process learns: by the host's optimiser, or by itself.
#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "experts/abi_views.h"
#include "experts/active_call.h"
#include "experts/in_process_expert.h"

namespace moecollab::experts {

// Keeps what the expert may look at again: the batch, and the rows that its views point into.
class InProcessExpert::SavedPass final : public Expert::Saved {
 public:
  SavedPass(const InProcessExpert& expert, encoder::Features rows)
      : expert_(expert),
        rows_(std::move(rows)),
        batch_(rows_, expert.facts_.request, (expert.setup_.inputs & MOEC_INPUT_TEXT) != 0,
               expert.place_) {}
  ~SavedPass() override {
    if (handle != nullptr) expert_.train_->release_saved(expert_.object_, handle);
  }
  const moec_batch& batch() const { return batch_.view(); }

  moec_saved* handle = nullptr;

 private:
  const InProcessExpert& expert_;
  const encoder::Features rows_;
  const Batch batch_;
};

const std::vector<Expert::Parameter>& InProcessExpert::bind(uint64_t seed) {
  const ActiveCall in(setup_.name, "params.bind");
  bottleneck_.reset();
  moec_error error = empty_error();
  std::vector<moec_tensor> values, grads;
  const uint64_t count = params_->count(object_);
  for (uint64_t i = 0; i < count; ++i) {
    moec_param_info info{};
    info.struct_size = sizeof info;
    check(params_->describe(object_, i, &info, &error), error, "params.describe");
    require_new_parameter(setup_.name, parameters_, to_string(info.name));
    const at::IntArrayRef shape(info.shape, static_cast<size_t>(info.ndim));
    const at::Tensor value = at::zeros(shape, at::TensorOptions(place_));
    parameters_.push_back({to_string(info.name), value, at::zeros_like(value), info.trainable != 0,
                           info.decay != 0, info.lr_scale});
  }
  for (const Parameter& p : parameters_) {
    values.push_back(to_abi(p.value));
    grads.push_back(to_abi(p.grad));
  }
  check(params_->bind(object_, values.data(), grads.data(), &error), error, "params.bind");
  if (setup_.weights.empty()) {
    check(params_->init(object_, seed, &error), error, "params.init");
  } else {
    copy_weights(setup_.weights, parameters_);
  }
  params_changed();
  return parameters_;
}

void InProcessExpert::params_changed() {
  moec_error error = empty_error();
  check(params_->params_changed(object_, &error), error, "params.params_changed");
}

at::Tensor InProcessExpert::forward_train(encoder::Features rows, uint64_t seed,
                                          std::unique_ptr<Saved>& saved) {
  const ActiveCall in(setup_.name, "forward_train");
  at::Tensor logits = unwritten_logits(rows.rows(), setup_.classes);
  auto pass = std::make_unique<SavedPass>(*this, std::move(rows));
  const moec_tensor out = to_abi(logits);
  moec_exec how = exec(true);
  how.seed = seed;
  moec_error error = empty_error();
  check(train_->forward_train(object_, &how, &pass->batch(), &out, &pass->handle, &error), error,
        "forward_train");
  require_device_well("forward_train");
  saved = std::move(pass);
  return logits;
}

void InProcessExpert::vjp(Saved& saved, const at::Tensor& gy) {
  const ActiveCall in(setup_.name, "vjp");
  const at::Tensor contiguous = gy.contiguous();
  const moec_tensor view = to_abi(contiguous);
  const moec_exec how = exec(true);
  const std::vector<const moec_tensor*> no_inputs(
      facts_.request.hidden.size() + facts_.request.pooled.size(), nullptr);
  moec_error error = empty_error();
  check(train_->vjp(object_, &how, static_cast<SavedPass&>(saved).handle, &view, no_inputs.size(),
                    no_inputs.data(), &error),
        error, "vjp");
  require_device_well("vjp");
}

void InProcessExpert::fit_begin(int64_t rows, int32_t max_epochs, uint64_t seed) {
  bottleneck_.reset();
  const moec_exec how = exec(true);
  moec_error error = empty_error();
  check(fit_->fit_begin(object_, &how, rows, max_epochs, seed, &error), error, "fit_begin");
}

void InProcessExpert::fit_batch(const encoder::Features& rows, const at::Tensor& labels,
                                const at::Tensor& weights) {
  const ActiveCall in(setup_.name, "fit_batch");
  const Batch batch(rows, facts_.request, (setup_.inputs & MOEC_INPUT_TEXT) != 0, place_);
  const moec_tensor label_view = to_abi(labels), weight_view = to_abi(weights);
  const moec_exec how = exec(true);
  moec_error error = empty_error();
  check(fit_->fit_batch(object_, &how, &batch.view(), &label_view, &weight_view, &error), error,
        "fit_batch");
}

bool InProcessExpert::fit_epoch_end() {
  const ActiveCall in(setup_.name, "fit_epoch_end");
  const moec_exec how = exec(true);
  moec_error error = empty_error();
  int32_t want_more = 0;
  check(fit_->fit_epoch_end(object_, &how, &want_more, &error), error, "fit_epoch_end");
  return want_more != 0;
}

void InProcessExpert::fit_end() {
  moec_error error = empty_error();
  check(fit_->fit_end(object_, &error), error, "fit_end");
}

bool InProcessExpert::learns_parameters_only() const {
  return trainable() && (state_ == nullptr || state_->count(object_) == 0);
}

std::vector<std::pair<std::string, at::Tensor>> InProcessExpert::learnt() {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Parameter& p : parameters_)
    tensors.emplace_back(p.name, p.value.to(encoder::kHost).clone());
  moec_error error = empty_error();
  for (uint64_t i = 0; state_ != nullptr && i < state_->count(object_); ++i) {
    moec_state_info info{};
    info.struct_size = sizeof info;
    check(state_->describe(object_, i, &info, &error), error, "state.describe");
    at::Tensor tensor = at::zeros(at::IntArrayRef(info.shape, static_cast<size_t>(info.ndim)));
    const moec_tensor view = to_abi(tensor);
    check(state_->read(object_, i, &view, &error), error, "state.read");
    tensors.emplace_back(to_string(info.name), tensor);
  }
  return tensors;
}

}  // namespace moecollab::experts
