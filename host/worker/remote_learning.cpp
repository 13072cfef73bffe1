// How an expert in a process of its own learns: by the host's optimiser, or by itself.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <moecollab/abi.h>

#include <array>
#include <cstring>

#include "base/error.h"
#include "experts/abi_views.h"
#include "worker/expert_words.h"
#include "worker/remote_expert.h"
#include "worker/shared_batch.h"

namespace moecollab::worker {

// What a forward pass left there. A process that is gone has nothing to release.
class RemoteExpert::SavedThere final : public Saved {
 public:
  explicit SavedThere(RemoteExpert& expert) : expert_(expert), lent(expert.process_->in()) {}
  ~SavedThere() override {
    if (number == 0 || !expert_.process_->is_alive()) return;
    Call call;
    call.op = Op::kRelease;
    call.number = number;
    try {
      expert_.process_->call(call, "release_saved", expert_.limits_.training);
    } catch (const Error&) {
      // It is gone, and so is what it kept.
    }
  }

 private:
  RemoteExpert& expert_;

 public:
  Lent lent;  // the batch, which the expert may look at again
  uint64_t number = 0;
};

Reply RemoteExpert::teach(Op op, const char* phase, const std::function<void(Call&)>& fill) {
  learns_ = true;
  Call call;
  call.op = op;
  if (fill) fill(call);
  return ask(call, phase, limits_.training);
}

// The host holds what an expert says that it learns.
void RemoteExpert::require_room(const std::vector<int64_t>& shape, uint64_t& bytes) const {
  bytes += bytes_of(shape);
  if (bytes > limits_.memory)
    nonsense(setup_.name, fmt::format("it learns more than {} MiB", limits_.memory >> 20));
}

const std::vector<experts::Expert::Parameter>& RemoteExpert::bind(uint64_t seed) {
  bottleneck_.reset();
  std::vector<WireTensor> values, grads;
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < wire_.parameters; ++i) {
    const WireParameter said =
        teach(Op::kParameter, "params.describe", [&](Call& call) { call.number = i; }).parameter;
    const std::string name = text_of(said.name);
    experts::require_new_parameter(setup_.name, parameters_, name);
    const std::vector<int64_t> shape = shape_of(setup_.name, said);
    require_room(shape, bytes);
    // The storage lives as long as a tensor over it.
    const auto storage = [&](std::vector<WireTensor>& list) {
      auto block = std::make_shared<Block>(process_->out(), bytes_of(shape));
      list.push_back(wire_of(*block, shape));
      std::memset(block->data(), 0, bytes_of(shape));
      return at::from_blob(
          block->data(), shape, [block, process = process_](void*) mutable { block.reset(); },
          at::kFloat);
    };
    at::Tensor value = storage(values), grad = storage(grads);
    parameters_.push_back({name, std::move(value), std::move(grad), said.trainable != 0,
                           said.decay != 0, said.lr_scale});
  }
  Lent lent(process_->in());
  values.insert(values.end(), grads.begin(), grads.end());
  teach(Op::kBind, "params.bind", [&](Call& call) {
    call.list = lent.array(values);
    call.list_count = values.size();
  });
  if (setup_.weights.empty()) {
    teach(Op::kInit, "params.init", [&](Call& call) { call.number = seed; });
  } else {
    experts::copy_weights(setup_.weights, parameters_);
  }
  params_changed();
  return parameters_;
}

void RemoteExpert::params_changed() { teach(Op::kParamsChanged, "params.params_changed"); }

at::Tensor RemoteExpert::forward_train(encoder::Features rows, uint64_t seed,
                                       std::unique_ptr<Saved>& saved) {
  const std::array<int64_t, 2> shape{rows.rows(), setup_.classes};
  auto there = std::make_unique<SavedThere>(*this);
  const Block block(process_->out(), bytes_of(shape));
  there->number = teach(Op::kForwardTrain, "forward_train", [&](Call& call) {
                    call.exec = exec(true, seed);
                    call.batch = there->lent.batch(rows, facts_.request,
                                                   (setup_.inputs & MOEC_INPUT_TEXT) != 0);
                    call.tensors[0] = wire_of(block, shape);
                  }).number;
  saved = std::move(there);
  return mapped(block, shape).clone();
}

void RemoteExpert::vjp(Saved& saved, const at::Tensor& gy) {
  Lent lent(process_->in());
  teach(Op::kVjp, "vjp", [&](Call& call) {
    call.exec = exec(true, setup_.seed);
    call.number = static_cast<SavedThere&>(saved).number;
    call.tensors[0] = lent.tensor(gy);
  });
}

void RemoteExpert::fit_begin(int64_t rows, int32_t max_epochs, uint64_t seed) {
  bottleneck_.reset();
  teach(Op::kFitBegin, "fit_begin", [&](Call& call) {
    call.exec = exec(true, setup_.seed);
    call.rows = rows;
    call.epochs = static_cast<uint32_t>(max_epochs);
    call.number = seed;
  });
}

void RemoteExpert::fit_batch(const encoder::Features& rows, const at::Tensor& labels,
                             const at::Tensor& weights) {
  Lent lent(process_->in());
  teach(Op::kFitBatch, "fit_batch", [&](Call& call) {
    call.exec = exec(true, setup_.seed);
    call.batch = lent.batch(rows, facts_.request, (setup_.inputs & MOEC_INPUT_TEXT) != 0);
    call.tensors[0] = lent.tensor(labels);
    call.tensors[1] = lent.tensor(weights);
  });
}

bool RemoteExpert::fit_epoch_end() {
  const Reply reply = teach(Op::kFitEpochEnd, "fit_epoch_end",
                            [&](Call& call) { call.exec = exec(true, setup_.seed); });
  return reply.number != 0;
}

void RemoteExpert::fit_end() { teach(Op::kFitEnd, "fit_end"); }

std::vector<std::pair<std::string, at::Tensor>> RemoteExpert::learnt() {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Parameter& p : parameters_) tensors.emplace_back(p.name, p.value.clone());
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < wire_.states; ++i) {
    const WireParameter said =
        teach(Op::kState, "state.describe", [&](Call& call) { call.number = i; }).parameter;
    const std::vector<int64_t> shape = shape_of(setup_.name, said);
    require_room(shape, bytes);
    const Block block(process_->out(), bytes_of(shape));
    teach(Op::kReadState, "state.read", [&](Call& call) {
      call.number = i;
      call.tensors[0] = wire_of(block, shape);
    });
    tensors.emplace_back(text_of(said.name), mapped(block, shape).clone());
  }
  return tensors;
}

}  // namespace moecollab::worker
