#include "training/space_shares.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "base/probability.h"
#include "encoder/features.h"
#include "training/lbfgs.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

constexpr int64_t kShareStream = -4;  // an epoch number that no other shuffle has
constexpr int kIterations = 60;
constexpr double kRest = 1e-6;  // the loss rests once an iteration gains less, relatively
constexpr double kPenalties[] = {1e4, 1e3, 1e2};
constexpr double kMayLose = 0.0025;                  // accuracy, to the best expert
constexpr double kFirstPull = 0.25, kLastPull = 32;  // nats

// Σ_e w_e·ln p_e of each label [n, C], which a logarithmic pool normalises.
at::Tensor sum_of_logs(const Opinions& opinions, const at::Tensor& score) {
  return (at::softmax(score, 1).unsqueeze(2) * opinions.log_p).sum(1);
}

at::Tensor losses_of(const Opinions& opinions, const at::Tensor& score, fusion::OpinionPool pool) {
  const at::Tensor label = opinions.label.unsqueeze(1);
  if (pool == fusion::OpinionPool::kLogarithmic)
    return -at::log_softmax(sum_of_logs(opinions, score), 1).gather(1, label).squeeze(1);
  const at::Tensor own =
      opinions.log_p.gather(2, label.unsqueeze(1).expand({-1, opinions.log_p.size(1), 1}))
          .squeeze(2);
  return -(at::log_softmax(score, 1) + own).logsumexp(1);
}

at::Tensor score_of(const Opinions& opinions, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor same = bias.unsqueeze(0).expand({opinions.z.size(0), -1});
  return weight.defined() ? same + opinions.z.matmul(weight.t()) : same;
}

Opinions rows_of(const Opinions& opinions, const std::vector<int64_t>& rows) {
  const at::Tensor index = encoder::index_tensor(rows, opinions.z.device());
  return {opinions.z.index_select(0, index), opinions.log_p.index_select(0, index),
          opinions.label.index_select(0, index), opinions.complete};
}

SpaceShares fit(const Opinions& opinions, fusion::OpinionPool pool, double penalty,
                StopToken stop) {
  const int64_t k = opinions.log_p.size(1), inputs = opinions.z.size(1);
  const auto n = static_cast<double>(opinions.z.size(0));
  // b, and then W if it is fitted.
  const auto split = [&](const at::Tensor& x) {
    return std::pair(x.narrow(0, 0, k),
                     penalty == 0 ? at::Tensor() : x.narrow(0, k, k * inputs).view({k, inputs}));
  };
  const auto parameters = [&](const std::vector<double>& values) {
    return at::tensor(values, at::kDouble).to(at::kFloat).to(opinions.z.device());
  };
  const auto loss = [&](const std::vector<double>& values, std::vector<double>& gradient) {
    stop.throw_if_requested("fitting was interrupted; the old gate is unchanged");
    const at::AutoGradMode with_gradient(true);
    const at::Tensor x = parameters(values).requires_grad_(true);
    const auto [bias, weight] = split(x);
    at::Tensor value = losses_of(opinions, score_of(opinions, weight, bias), pool).mean() +
                       bias.square().sum() / (2 * n);
    if (weight.defined()) value = value + weight.square().sum() * (penalty / (2 * n));
    value.backward();
    gradient = encoder::to_doubles(x.grad());
    return value.item<double>();
  };
  Lbfgs minimiser(std::vector<double>(static_cast<size_t>(penalty == 0 ? k : k + k * inputs), 0.0),
                  loss);
  for (int i = 0; i < kIterations; ++i) {
    const double before = minimiser.value();
    if (!minimiser.step() || before - minimiser.value() <= kRest * (1 + std::abs(before))) break;
  }
  const auto [bias, weight] = split(parameters(minimiser.x()));
  return {weight.defined() ? weight.contiguous() : at::zeros({k, inputs}, bias.options()),
          bias.contiguous(), pool, penalty};
}

// What each text loses by shares that were fitted without it, [n].
at::Tensor cross_validated(const Opinions& opinions, fusion::OpinionPool pool, double penalty,
                           uint64_t seed, StopToken stop) {
  at::Tensor lost = at::zeros({opinions.z.size(0)}, opinions.z.options());
  for (const FoldShares& fold : cross_fitted_shares(opinions, pool, penalty, seed, stop)) {
    lost.index_copy_(0, encoder::index_tensor(fold.texts, lost.device()),
                     losses(rows_of(opinions, fold.texts), fold.shares));
  }
  return lost;
}

// Whether each text is answered with its label, [n] float64.
at::Tensor is_right(const Opinions& opinions, const SpaceShares& shares) {
  const at::Tensor score = score_of(opinions, shares.weight, shares.bias);
  const at::Tensor pooled =
      shares.pool == fusion::OpinionPool::kLogarithmic
          ? sum_of_logs(opinions, score)
          : (at::log_softmax(score, 1).unsqueeze(2) + opinions.log_p).logsumexp(1);
  return pooled.argmax(1).eq(opinions.label).to(at::kDouble);
}

// Whether the texts that are right say that a pool is worse than an expert.
bool loses(const at::Tensor& pool, const at::Tensor& expert) {
  const at::Tensor lost = expert - pool;
  const double mean = lost.mean().item<double>(),
               error = lost.std().item<double>() / std::sqrt(static_cast<double>(lost.numel()));
  return mean > kMayLose && mean > error;
}

// Whether `lost` is less than `before` by more than two standard errors of the difference.
bool is_surely_less(const at::Tensor& lost, const at::Tensor& before) {
  const at::Tensor gain = (before - lost).to(at::kDouble);
  const double error = gain.std().item<double>() / std::sqrt(static_cast<double>(gain.numel()));
  return gain.mean().item<double>() > 2 * error;
}

}  // namespace

at::Tensor losses(const Opinions& opinions, const SpaceShares& shares) {
  const at::NoGradGuard no_grad;
  return losses_of(opinions, score_of(opinions, shares.weight, shares.bias), shares.pool);
}

std::vector<FoldShares> cross_fitted_shares(const Opinions& opinions, fusion::OpinionPool pool,
                                            double penalty, uint64_t seed, StopToken stop) {
  std::vector<FoldShares> folds;
  for (const Fold& fold : five_folds(opinions.z.size(0), seed, kShareStream))
    folds.push_back({fold.inside, fit(rows_of(opinions, fold.outside), pool, penalty, stop)});
  return folds;
}

SpaceShares fit_space_shares(const Opinions& opinions, uint64_t seed, StopToken stop) {
  using fusion::OpinionPool;
  const int64_t n = opinions.z.size(0), k = opinions.log_p.size(1);
  if (n == 0 || k == 1)
    return {.weight = at::zeros({k, opinions.z.size(1)}, opinions.z.options()),
            .bias = at::zeros({k}, opinions.z.options())};
  if (n < kFewestToFold) return fit(opinions, OpinionPool::kLinear, 0, stop);
  OpinionPool pool = OpinionPool::kLinear;
  at::Tensor lost = cross_validated(opinions, pool, 0, seed, stop);
  if (opinions.complete) {
    const at::Tensor other = cross_validated(opinions, OpinionPool::kLogarithmic, 0, seed, stop);
    if (other.mean().item<double>() < lost.mean().item<double>()) {
      pool = OpinionPool::kLogarithmic;
      lost = other;
    }
  }
  double best = 0;
  at::Tensor least = lost;
  for (const double penalty : kPenalties) {  // from the greatest on, as long as less is better
    const at::Tensor other = cross_validated(opinions, pool, penalty, seed, stop);
    if (other.mean().item<double>() >= least.mean().item<double>()) break;
    least = other;
    if (is_surely_less(other, lost)) best = penalty;
  }
  return fit(opinions, pool, best, stop);
}

std::string description(const ShareGuard& guard, const std::string& expert) {
  return fmt::format(
      "guard: alone, {} is right on {:.4f} of {} held-out texts of its label space, together with "
      "the others on {:.4f}: its share is raised by {:g} nats, and they are right on {:.4f}",
      expert, guard.best, guard.texts, guard.before, guard.pull, guard.after);
}

std::optional<ShareGuard> guard_shares(const Opinions& opinions, uint64_t seed, StopToken stop,
                                       SpaceShares& shares) {
  const int64_t n = opinions.z.size(0), k = opinions.log_p.size(1);
  if (n < kFewestToFold || k == 1) return std::nullopt;
  const at::NoGradGuard no_grad;
  const at::Tensor alone =
      opinions.log_p.argmax(2).eq(opinions.label.unsqueeze(1)).to(at::kDouble);  // [n, k]
  ShareGuard guard;
  guard.texts = n;
  guard.expert = alone.mean(0).argmax().item<int64_t>();
  const at::Tensor best = alone.select(1, guard.expert);
  guard.best = best.mean().item<double>();
  std::vector<FoldShares> folds =
      cross_fitted_shares(opinions, shares.pool, shares.penalty, seed, stop);
  const auto pooled = [&] {
    at::Tensor right = at::zeros({n}, alone.options());
    for (const FoldShares& fold : folds) {
      right.index_copy_(0, encoder::index_tensor(fold.texts, right.device()),
                        is_right(rows_of(opinions, fold.texts), fold.shares));
    }
    return right;
  };
  at::Tensor right = pooled();
  guard.before = right.mean().item<double>();
  for (double pull = kFirstPull; loses(right, best) && guard.pull < kLastPull; pull *= 2) {
    for (FoldShares& fold : folds) fold.shares.bias[guard.expert] += pull - guard.pull;
    guard.pull = pull;
    right = pooled();
  }
  if (guard.pull == 0) return std::nullopt;
  guard.after = right.mean().item<double>();
  shares.bias[guard.expert] += guard.pull;
  return guard;
}

GuardedShares fit_guarded_shares(const Opinions& opinions, const ShareFit& fit) {
  GuardedShares found{fit_space_shares(opinions, fit.seed, fit.stop), {}};
  if (fit.guarded) found.guard = guard_shares(opinions, fit.seed, fit.stop, found.shares);
  return found;
}

}  // namespace moecollab::training
