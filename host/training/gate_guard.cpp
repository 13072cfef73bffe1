#include "training/gate_guard.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "encoder/features.h"
#include "training/gate_judge.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

constexpr double kMostPull = 4;  // nats

// Router logits [n, k] with those of one expert raised.
at::Tensor raised(const at::Tensor& router, int64_t expert, double by) {
  at::Tensor result = router.clone();
  result.select(1, expert) += by;
  return result;
}

// How far an expert's share is to be raised. router [n, k] of the texts and experts of the space.
std::optional<ShareGuard> find_pull(const Opinions& said, const at::Tensor& router) {
  const at::Tensor p = said.log_p.exp();
  const auto right = [&](int64_t expert, double pull) {
    const at::Tensor shares = at::softmax(raised(router, expert, pull), 1);
    return (shares.unsqueeze(2) * p).sum(1).argmax(1).eq(said.label).to(at::kDouble);
  };
  return guard_space(said, right, kMostPull);
}

// What a pull adds to b of each of the k experts of the space, [k] float32.
at::Tensor change_of(const ShareGuard& guard, const at::Tensor& router) {
  const at::Tensor risen =
      raised(router, guard.expert, guard.pull).logsumexp(1) - router.logsumexp(1);
  at::Tensor change = risen.mean().neg().expand({router.size(1)}).clone();
  change[guard.expert] += guard.pull;
  return change;
}

// Texts that are answered right over all labels.
int64_t count_right(const GateProblem& problem, const at::Tensor& router) {
  const at::Tensor rows = at::arange(problem.texts(), problem.targets().options());
  return right_answers(problem, at::softmax(router, 1), rows).sum().item<int64_t>();
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
                                   const std::vector<std::string>& names, Log log,
                                   at::Tensor& router, gate::Gate& gate) {
  const at::NoGradGuard no_grad;
  std::vector<ShareGuard> taken;
  for (const int space : spaces) {
    const std::vector<int64_t> own = experts_in(space, problem.experts());
    const at::Tensor columns = encoder::index_tensor(own, problem.device());
    const at::Tensor of_space =
        router.index_select(0, texts_in(space, problem.targets(), problem.labels()))
            .index_select(1, columns);
    std::optional<ShareGuard> guard = find_pull(problem.opinions(space), of_space);
    if (!guard) continue;
    const at::Tensor change = change_of(*guard, of_space);
    guard->expert = own[static_cast<size_t>(guard->expert)];
    const std::string& name = names[static_cast<size_t>(guard->expert)];
    const at::Tensor pulled =
        router.index_add(1, columns, change.expand({router.size(0), change.size(0)}));
    const int64_t lost = count_right(problem, router) - count_right(problem, pulled);
    if (lost > 0) {
      log.note(
          fmt::format("guard: alone, {} is right more often than its label space together, but a "
                      "share raised by {:g} nats would lose {} texts over all labels: it stays",
                      name, guard->pull, lost));
      continue;
    }
    log.note(description(*guard, name));
    router = pulled;
    gate.bias.index_add_(0, columns.to(encoder::kHost), change.to(encoder::kHost));
    taken.push_back(*guard);
  }
  return taken;
}

}  // namespace moecollab::training
