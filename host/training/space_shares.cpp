#include "training/space_shares.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <optional>

#include "base/probability.h"
#include "encoder/device.h"
#include "encoder/features.h"
#include "training/batched_lbfgs.h"
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

// Here scores are [n, k], or [F, n, k] of F fits side by side; results have the same F.

// Σ_e w_e·ln p_e of each label [n, C], which a logarithmic pool normalises.
at::Tensor sum_of_logs(const Opinions& opinions, const at::Tensor& score) {
  return (at::softmax(score, -1).unsqueeze(-1) * opinions.log_p).sum(-2);
}

at::Tensor losses_of(const Opinions& opinions, const at::Tensor& score, fusion::OpinionPool pool) {
  const at::Tensor label = opinions.label.unsqueeze(1);
  if (pool == fusion::OpinionPool::kLogarithmic) {
    const at::Tensor log_p = at::log_softmax(sum_of_logs(opinions, score), -1);
    std::vector<int64_t> one_each = log_p.sizes().vec();
    one_each.back() = 1;
    return -log_p.gather(-1, label.expand(one_each)).squeeze(-1);
  }
  const at::Tensor own =
      opinions.log_p.gather(2, label.unsqueeze(1).expand({-1, opinions.log_p.size(1), 1}))
          .squeeze(2);
  return -(at::log_softmax(score, -1) + own).logsumexp(-1);
}

// weight [k, D] or undefined, bias [k]; with a leading F if there are several fits.
at::Tensor score_of(const Opinions& opinions, const at::Tensor& weight, const at::Tensor& bias) {
  std::vector<int64_t> shape = bias.sizes().vec();
  shape.insert(shape.end() - 1, opinions.z.size(0));
  const at::Tensor same = bias.unsqueeze(-2).expand(shape);
  return weight.defined() ? same + opinions.z.matmul(weight.transpose(-1, -2)) : same;
}

Opinions rows_of(const Opinions& opinions, const std::vector<int64_t>& rows) {
  const at::Tensor index = encoder::index_tensor(rows, opinions.z.device());
  return {opinions.z.index_select(0, index), opinions.log_p.index_select(0, index),
          opinions.label.index_select(0, index), opinions.complete};
}

// b [k] of the numbers that a fit changes, and W [k, D] if the fit has it. `x` may have a leading
// F.
std::pair<at::Tensor, at::Tensor> bias_and_weight(const at::Tensor& x, int64_t k, int64_t inputs) {
  const at::Tensor bias = x.narrow(-1, 0, k);
  if (x.size(-1) == k) return {bias, {}};
  return {bias, x.narrow(-1, k, k * inputs).unflatten(-1, {k, inputs})};
}

SpaceShares shares_of(const at::Tensor& x, const Opinions& opinions, fusion::OpinionPool pool,
                      double penalty) {
  const int64_t k = opinions.log_p.size(1), inputs = opinions.z.size(1);
  const auto [bias, weight] = bias_and_weight(x, k, inputs);
  return {weight.defined() ? weight.contiguous() : at::zeros({k, inputs}, bias.options()),
          bias.contiguous(), pool, penalty};
}

int64_t fitted_numbers(const Opinions& opinions, double penalty) {
  const int64_t k = opinions.log_p.size(1);
  return penalty == 0 ? k : k + k * opinions.z.size(1);
}

// value + ‖b‖²/(2n) + κ·‖W‖²/(2n), n a number or one per fit.
template <typename Count>
at::Tensor with_penalties(const at::Tensor& value, const at::Tensor& bias, const at::Tensor& weight,
                          double penalty, const Count& n) {
  const at::Tensor sum = value + bias.square().sum(-1) / (2 * n);
  return weight.defined() ? sum + weight.square().flatten(-2).sum(-1) * (penalty / (2 * n)) : sum;
}

bool rests(double before, double after) { return before - after <= kRest * (1 + std::abs(before)); }

constexpr const char* kInterrupted = "fitting was interrupted; the old gate is unchanged";

SpaceShares fit_shares(const Opinions& opinions, fusion::OpinionPool pool, double penalty,
                       StopToken stop) {
  const int64_t k = opinions.log_p.size(1), inputs = opinions.z.size(1);
  const auto n = static_cast<double>(opinions.z.size(0));
  const auto parameters = [&](const std::vector<double>& values) {
    return at::tensor(values, at::kDouble).to(at::kFloat).to(opinions.z.device());
  };
  const auto loss = [&](const std::vector<double>& values, std::vector<double>& gradient) {
    stop.throw_if_requested(kInterrupted);
    const at::AutoGradMode with_gradient(true);
    const at::Tensor x = parameters(values).requires_grad_(true);
    const auto [bias, weight] = bias_and_weight(x, k, inputs);
    const at::Tensor lost = losses_of(opinions, score_of(opinions, weight, bias), pool),
                     value = with_penalties(lost.mean(), bias, weight, penalty, n);
    value.backward();
    gradient = encoder::to_doubles(x.grad());
    return value.item<double>();
  };
  Lbfgs minimiser(std::vector<double>(static_cast<size_t>(fitted_numbers(opinions, penalty)), 0.0),
                  loss);
  for (int i = 0; i < kIterations; ++i) {
    const double before = minimiser.value();
    if (!minimiser.step() || rests(before, minimiser.value())) break;
  }
  return shares_of(parameters(minimiser.x()), opinions, pool, penalty);
}

// fit_shares() for each fold's texts outside it, together, since such a fit leaves a device idle
// between launches.
std::vector<SpaceShares> fit_folds(const Opinions& opinions, const std::vector<Fold>& folds,
                                   fusion::OpinionPool pool, double penalty, StopToken stop) {
  const int64_t k = opinions.log_p.size(1), inputs = opinions.z.size(1);
  at::Tensor outside = at::ones({std::ssize(folds), opinions.z.size(0)}, opinions.z.options());
  for (size_t f = 0; f < folds.size(); ++f) {
    outside.select(0, static_cast<int64_t>(f))
        .index_fill_(0, encoder::index_tensor(folds[f].inside, outside.device()), 0.0);
  }
  const at::Tensor n = outside.sum(1);
  const auto loss = [&](const at::Tensor& values, const at::Tensor& which) {
    stop.throw_if_requested(kInterrupted);
    return BatchedLbfgs::differentiated(values, [&](const at::Tensor& x) {
      const auto [bias, weight] = bias_and_weight(x, k, inputs);
      const at::Tensor own = n.index_select(0, which),
                       lost = losses_of(opinions, score_of(opinions, weight, bias), pool);
      const at::Tensor mean = (lost * outside.index_select(0, which)).sum(1) / own;
      return with_penalties(mean, bias, weight, penalty, own);
    });
  };
  BatchedLbfgs minimiser(at::zeros({std::ssize(folds), fitted_numbers(opinions, penalty)},
                                   opinions.z.options().dtype(at::kDouble)),
                         loss);
  std::vector<int64_t> active(folds.size());
  std::iota(active.begin(), active.end(), int64_t{0});
  for (int i = 0; i < kIterations && !active.empty(); ++i) {
    std::vector<double> before;
    for (const int64_t f : active) before.push_back(minimiser.value(f));
    const std::vector<bool> fell = minimiser.step(active);
    std::vector<int64_t> next;
    for (size_t a = 0; a < active.size(); ++a) {
      if (fell[a] && !rests(before[a], minimiser.value(active[a]))) next.push_back(active[a]);
    }
    active = std::move(next);
  }
  std::vector<SpaceShares> shares;
  for (const at::Tensor& x : minimiser.x().to(at::kFloat).unbind(0))
    shares.push_back(shares_of(x, opinions, pool, penalty));
  return shares;
}

// Shares by one setting: five times without a fifth of the texts, and what each text loses by
// those that were fitted without it [n].
struct CrossValidation {
  fusion::OpinionPool pool;
  double penalty;
  std::vector<FoldShares> folds;
  at::Tensor lost;

  double mean() const { return lost.mean().item<double>(); }
};

CrossValidation cross_validated(const Opinions& opinions, fusion::OpinionPool pool, double penalty,
                                uint64_t seed, StopToken stop) {
  CrossValidation found{pool, penalty, cross_fitted_shares(opinions, pool, penalty, seed, stop),
                        at::zeros({opinions.z.size(0)}, opinions.z.options())};
  for (const FoldShares& fold : found.folds) {
    found.lost.index_copy_(0, encoder::index_tensor(fold.texts, found.lost.device()),
                           losses(rows_of(opinions, fold.texts), fold.shares));
  }
  return found;
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

bool can_fold(const Opinions& opinions) {
  return opinions.z.size(0) >= kFewestToFold && opinions.log_p.size(1) > 1;
}

// The pool, and then the penalty, that lose least.
CrossValidation choose_setting(const Opinions& opinions, uint64_t seed, StopToken stop) {
  using fusion::OpinionPool;
  CrossValidation same = cross_validated(opinions, OpinionPool::kLinear, 0, seed, stop);
  if (opinions.complete) {
    CrossValidation other = cross_validated(opinions, OpinionPool::kLogarithmic, 0, seed, stop);
    if (other.mean() < same.mean()) same = std::move(other);
  }
  std::optional<CrossValidation> best;
  double least = same.mean();
  for (const double penalty : kPenalties) {  // from the greatest on, as long as less is better
    CrossValidation other = cross_validated(opinions, same.pool, penalty, seed, stop);
    if (other.mean() >= least) break;
    least = other.mean();
    if (is_surely_less(other.lost, same.lost)) best = std::move(other);
  }
  return best ? std::move(*best) : std::move(same);
}

// guard_shares() by the folds of the shares' own setting.
std::optional<ShareGuard> guard_by(std::vector<FoldShares> folds, const Opinions& opinions,
                                   SpaceShares& shares) {
  const at::NoGradGuard no_grad;
  const int64_t n = opinions.z.size(0);
  const at::Tensor alone =
      opinions.log_p.argmax(2).eq(opinions.label.unsqueeze(1)).to(at::kDouble);  // [n, k]
  ShareGuard guard;
  guard.texts = n;
  guard.expert = alone.mean(0).argmax().item<int64_t>();
  const at::Tensor best = alone.select(1, guard.expert);
  guard.best = best.mean().item<double>();
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

}  // namespace

at::Tensor losses(const Opinions& opinions, const SpaceShares& shares) {
  const at::NoGradGuard no_grad;
  return losses_of(opinions, score_of(opinions, shares.weight, shares.bias), shares.pool);
}

std::vector<FoldShares> cross_fitted_shares(const Opinions& opinions, fusion::OpinionPool pool,
                                            double penalty, uint64_t seed, StopToken stop) {
  const std::vector<Fold> folds = five_folds(opinions.z.size(0), seed, kShareStream);
  std::vector<SpaceShares> shares;
  if (!opinions.z.is_cpu()) {
    try {
      shares = fit_folds(opinions, folds, pool, penalty, stop);
    } catch (const c10::Error& error) {
      if (!encoder::is_out_of_memory(error)) throw;
    }
  }
  if (shares.empty()) {  // one after the other, which takes a fifth of the memory
    for (const Fold& fold : folds)
      shares.push_back(fit_shares(rows_of(opinions, fold.outside), pool, penalty, stop));
  }
  std::vector<FoldShares> found;
  for (size_t f = 0; f < folds.size(); ++f)
    found.push_back({folds[f].inside, std::move(shares[f])});
  return found;
}

SpaceShares fit_space_shares(const Opinions& opinions, uint64_t seed, StopToken stop) {
  return fit_guarded_shares(opinions, {seed, /*guarded=*/false, stop}).shares;
}

std::string description(const ShareGuard& guard, const std::string& expert) {
  return fmt::format(
      "guard: alone, {} is right on {:.4f} of {} held-out texts of its label space, together with "
      "the others on {:.4f}: its share is raised by {:g} nats, and they are right on {:.4f}",
      expert, guard.best, guard.texts, guard.before, guard.pull, guard.after);
}

std::optional<ShareGuard> guard_shares(const Opinions& opinions, uint64_t seed, StopToken stop,
                                       SpaceShares& shares) {
  if (!can_fold(opinions)) return std::nullopt;
  return guard_by(cross_fitted_shares(opinions, shares.pool, shares.penalty, seed, stop), opinions,
                  shares);
}

GuardedShares fit_guarded_shares(const Opinions& opinions, const ShareFit& fit) {
  const int64_t n = opinions.z.size(0), k = opinions.log_p.size(1);
  if (n == 0 || k == 1) {
    return {{.weight = at::zeros({k, opinions.z.size(1)}, opinions.z.options()),
             .bias = at::zeros({k}, opinions.z.options())},
            {}};
  }
  if (!can_fold(opinions))
    return {fit_shares(opinions, fusion::OpinionPool::kLinear, 0, fit.stop), {}};
  CrossValidation chosen = choose_setting(opinions, fit.seed, fit.stop);
  GuardedShares found{fit_shares(opinions, chosen.pool, chosen.penalty, fit.stop), {}};
  if (fit.guarded) found.guard = guard_by(std::move(chosen.folds), opinions, found.shares);
  return found;
}

}  // namespace moecollab::training
