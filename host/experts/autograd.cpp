#include "experts/autograd.h"

#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"

namespace moecollab::experts {
namespace {

using torch::autograd::AutogradContext;

struct SavedHolder : torch::CustomClassHolder {
  Expert* expert = nullptr;
  std::unique_ptr<Expert::Saved> saved;
};

// `anchor` only makes autograd record the node: the parameters live behind the ABI, not in the
// graph.
struct ExpertFunction : torch::autograd::Function<ExpertFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& anchor, Expert* expert,
                            encoder::Features* rows, int64_t seed) {
    (void)anchor;
    auto holder = c10::make_intrusive<SavedHolder>();
    holder->expert = expert;
    at::Tensor logits =
        expert->forward_train(std::move(*rows), static_cast<uint64_t>(seed), holder->saved);
    context->saved_data["expert"] = c10::IValue::make_capsule(std::move(holder));
    return logits;
  }

  static torch::autograd::tensor_list backward(AutogradContext* context,
                                               torch::autograd::tensor_list grads) {
    if (at::GradMode::is_enabled()) {
      throw Error(
          "E_CONFIG",
          "experts have first derivatives only; backward() with create_graph asks for second ones");
    }
    const auto holder =
        c10::static_intrusive_pointer_cast<SavedHolder>(context->saved_data["expert"].toCapsule());
    holder->expert->vjp(*holder->saved, grads[0].to(at::kFloat));
    holder->saved.reset();
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor differentiable_forward(Expert& expert, encoder::Features rows, uint64_t seed) {
  const at::Tensor anchor = at::zeros({}, at::kFloat).requires_grad_(true);
  return ExpertFunction::apply(anchor, &expert, &rows, static_cast<int64_t>(seed));
}

}  // namespace moecollab::experts
