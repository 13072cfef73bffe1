#include "training/share_guard.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>

namespace moecollab::training {
namespace {

constexpr double kMayLose = 0.0025;  // accuracy, to the best expert
constexpr double kFirstPull = 0.25;  // nats

// Whether the texts that are right say that experts together are worse than one alone.
bool loses(const at::Tensor& together, const at::Tensor& alone) {
  const at::Tensor lost = alone - together;
  const double mean = lost.mean().item<double>(),
               error = lost.std().item<double>() / std::sqrt(static_cast<double>(lost.numel()));
  return mean > kMayLose && mean > error;
}

}  // namespace

std::string description(const ShareGuard& guard, const std::string& expert) {
  return fmt::format(
      "guard: alone, {} is right on {:.4f} of {} held-out texts of its label space, together with "
      "the others on {:.4f}: its share is raised by {:g} nats, and they are right on {:.4f}",
      expert, guard.best, guard.texts, guard.before, guard.pull, guard.after);
}

std::optional<ShareGuard> guard_space(const Opinions& opinions, const RightTogether& right,
                                      double most) {
  const at::NoGradGuard no_grad;
  const at::Tensor alone =
      opinions.log_p.argmax(2).eq(opinions.label.unsqueeze(1)).to(at::kDouble);  // [n, k]
  at::Tensor accuracy = alone.mean(0);
  for (size_t e = 0; e < opinions.honest.size(); ++e)
    if (!opinions.honest[e]) accuracy[static_cast<int64_t>(e)] = -1;
  ShareGuard guard;
  guard.texts = alone.size(0);
  guard.expert = accuracy.argmax().item<int64_t>();
  guard.best = accuracy[guard.expert].item<double>();
  if (guard.best < 0) return std::nullopt;
  const at::Tensor best = alone.select(1, guard.expert);
  at::Tensor together = right(guard.expert, 0);
  guard.before = together.mean().item<double>();
  for (double pull = kFirstPull; loses(together, best) && pull <= most; pull *= 2) {
    guard.pull = pull;
    together = right(guard.expert, pull);
  }
  if (guard.pull == 0) return std::nullopt;
  guard.after = together.mean().item<double>();
  return guard;
}

}  // namespace moecollab::training
