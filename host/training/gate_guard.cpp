#include "training/gate_guard.h"

#include <ATen/core/grad_mode.h>

#include "encoder/features.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

// Router logits [n, k] with those of one expert raised.
at::Tensor raised(const at::Tensor& router, int64_t expert, double by) {
  at::Tensor raised = router.clone();
  raised.select(1, expert) += by;
  return raised;
}

// What the guard adds to b of each of the k experts of a space, [k] float32, their router logits
// being [n, k] for the texts of the space.
at::Tensor change_of(const ShareGuard& guard, const at::Tensor& router) {
  const at::Tensor risen =
      raised(router, guard.expert, guard.pull).logsumexp(1) - router.logsumexp(1);
  at::Tensor change = risen.mean().neg().expand({router.size(1)}).clone();
  change[guard.expert] += guard.pull;
  return change;
}

}  // namespace

std::vector<int> guarded_spaces(const GateProblem& problem) {
  std::vector<int> spaces;
  if (problem.fusion() != fusion::Mode::kMixture) return spaces;
  for (int space = 0; space < std::ssize(problem.labels().spaces()); ++space) {
    if (experts_in(space, problem.experts()).size() > 1 &&
        texts_in(space, problem.targets(), problem.labels()).numel() >= kFewestToFold)
      spaces.push_back(space);
  }
  return spaces;
}

std::vector<ShareGuard> guard_gate(const GateProblem& problem, const std::vector<int>& spaces,
                                   at::Tensor& router, gate::Gate& gate) {
  const at::NoGradGuard no_grad;
  std::vector<ShareGuard> found;
  for (const int space : spaces) {
    const std::vector<int64_t> own = experts_in(space, problem.experts());
    const at::Tensor columns = encoder::index_tensor(own, problem.device());
    const Opinions said = problem.opinions(space);
    const at::Tensor of_space =
        router.index_select(0, texts_in(space, problem.targets(), problem.labels()))
            .index_select(1, columns);  // [n, k]
    std::optional<ShareGuard> guard = guard_space(said, [&](int64_t expert, double pull) {
      const at::Tensor shares = at::softmax(raised(of_space, expert, pull), 1);
      return (shares.unsqueeze(2) * said.log_p.exp())
          .sum(1)
          .argmax(1)
          .eq(said.label)
          .to(at::kDouble);
    });
    if (!guard) continue;
    const at::Tensor change = change_of(*guard, of_space);
    router.index_add_(1, columns, change.expand({router.size(0), change.size(0)}));
    gate.bias.index_add_(0, columns.to(encoder::kHost), change.to(encoder::kHost));
    guard->expert = own[static_cast<size_t>(guard->expert)];
    found.push_back(*guard);
  }
  return found;
}

}  // namespace moecollab::training
