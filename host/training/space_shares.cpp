#include "training/space_shares.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <numeric>
#include <optional>

#include "encoder/device.h"
#include "encoder/features.h"
#include "training/batched_lbfgs.h"
#include "training/share_loss.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

constexpr int64_t kShareStream = -4;  // an epoch number that no other shuffle has
constexpr int kIterations = 60;
constexpr double kRest = 1e-6;  // the loss rests once an iteration gains less, relatively
constexpr double kPenalties[] = {1e4, 1e3, 1e2};
constexpr double kMostPull = 32;  // nats: the best expert answers as if alone

Opinions rows_of(const Opinions& opinions, const std::vector<int64_t>& rows) {
  const at::Tensor index = encoder::index_tensor(rows, opinions.z.device());
  return {opinions.z.index_select(0, index), opinions.log_p.index_select(0, index),
          opinions.label.index_select(0, index), opinions.complete};
}

bool rests(double before, double after) { return before - after <= kRest * (1 + std::abs(before)); }

// Those that the numbers x [F, n] of some fits say.
std::vector<SpaceShares> shares_of(const ShareObjective& objective, const at::Tensor& x,
                                   const Opinions& opinions, fusion::OpinionPool pool,
                                   double penalty) {
  const auto [weight, bias] = objective.weight_and_bias(x.to(at::kFloat));
  const int64_t k = bias.size(1), inputs = opinions.z.size(1);
  std::vector<SpaceShares> shares;
  for (int64_t f = 0; f < x.size(0); ++f) {
    shares.push_back(
        {weight.defined() ? weight[f].contiguous() : at::zeros({k, inputs}, bias.options()),
         bias[f].contiguous(), pool, penalty});
  }
  return shares;
}

// Shares by one setting for each row of `takes` [F, n], which has 1 for its texts, else 0. All are
// fitted together: the texts are read once for all, and a device is not left idle between launches.
std::vector<SpaceShares> fit_side_by_side(const Opinions& opinions, const at::Tensor& takes,
                                          fusion::OpinionPool pool, double penalty,
                                          StopToken stop) {
  const ShareObjective objective(opinions, pool, penalty, takes);
  BatchedLbfgs minimiser(
      at::zeros({objective.fits(), objective.numbers()}, takes.options().dtype(at::kDouble)),
      [&](const at::Tensor& x, const at::Tensor& which) {
        stop.throw_if_requested("fitting was interrupted; the old gate is unchanged");
        return objective.evaluate(x, which);
      });
  std::vector<int64_t> active(static_cast<size_t>(objective.fits()));
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
  return shares_of(objective, minimiser.x(), opinions, pool, penalty);
}

// By all texts.
SpaceShares fit_shares(const Opinions& opinions, fusion::OpinionPool pool, double penalty,
                       StopToken stop) {
  const at::Tensor all = at::ones({1, opinions.z.size(0)}, opinions.z.options());
  return fit_side_by_side(opinions, all, pool, penalty, stop).front();
}

// By the texts outside each fold, and last by all.
std::vector<SpaceShares> fit_folds(const Opinions& opinions, const std::vector<Fold>& folds,
                                   fusion::OpinionPool pool, double penalty, StopToken stop) {
  at::Tensor takes = at::ones({std::ssize(folds) + 1, opinions.z.size(0)}, opinions.z.options());
  for (size_t f = 0; f < folds.size(); ++f) {
    takes.select(0, static_cast<int64_t>(f))
        .index_fill_(0, encoder::index_tensor(folds[f].inside, takes.device()), 0.0);
  }
  try {
    return fit_side_by_side(opinions, takes, pool, penalty, stop);
  } catch (const c10::Error& error) {
    if (!encoder::is_out_of_memory(error)) throw;
  }
  std::vector<SpaceShares> shares;  // one after the other, which takes less memory
  for (const Fold& fold : folds)
    shares.push_back(fit_shares(rows_of(opinions, fold.outside), pool, penalty, stop));
  shares.push_back(fit_shares(opinions, pool, penalty, stop));
  return shares;
}

// [1, k, n]
at::Tensor scores_by(const SpaceShares& shares, const ShareLoss& loss) {
  return loss.scores(shares.weight.unsqueeze(0), shares.bias.unsqueeze(0));
}

// Whether each text is answered with its label, [n] float64.
at::Tensor is_right(const Opinions& opinions, const SpaceShares& shares) {
  const ShareLoss loss(opinions, shares.pool);
  const at::Tensor pooled = loss.pooled(scores_by(shares, loss)).squeeze(0);
  return pooled.argmax(0).eq(opinions.label).to(at::kDouble);
}

// Shares that were fitted without some texts, and these.
struct FoldShares {
  std::vector<int64_t> texts;
  SpaceShares shares;
};

// Shares by one setting: by all texts, five times without a fifth of them, and what each text loses
// by those that were fitted without it [n].
struct CrossValidation {
  SpaceShares shares;
  std::vector<FoldShares> folds;
  at::Tensor lost;

  double mean() const { return lost.mean().item<double>(); }
};

CrossValidation cross_validated(const Opinions& opinions, fusion::OpinionPool pool, double penalty,
                                uint64_t seed, StopToken stop) {
  const std::vector<Fold> folds = five_folds(opinions.z.size(0), seed, kShareStream);
  std::vector<SpaceShares> fitted = fit_folds(opinions, folds, pool, penalty, stop);
  CrossValidation found{
      std::move(fitted.back()), {}, at::zeros({opinions.z.size(0)}, opinions.z.options())};
  for (size_t f = 0; f < folds.size(); ++f) {
    found.lost.index_copy_(0, encoder::index_tensor(folds[f].inside, found.lost.device()),
                           losses(rows_of(opinions, folds[f].inside), fitted[f]));
    found.folds.push_back({folds[f].inside, std::move(fitted[f])});
  }
  return found;
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
    CrossValidation other = cross_validated(opinions, same.shares.pool, penalty, seed, stop);
    if (other.mean() >= least) break;
    least = other.mean();
    if (is_surely_less(other.lost, same.lost)) best = std::move(other);
  }
  return best ? std::move(*best) : std::move(same);
}

// `folds` are those of the shares' own setting.
std::optional<ShareGuard> guard_shares(const std::vector<FoldShares>& folds,
                                       const Opinions& opinions, SpaceShares& shares) {
  const at::NoGradGuard no_grad;
  const auto together = [&](int64_t expert, double pull) {
    at::Tensor right = at::zeros({opinions.z.size(0)}, opinions.z.options().dtype(at::kDouble));
    for (const FoldShares& fold : folds) {
      SpaceShares pulled = fold.shares;
      pulled.bias = pulled.bias.clone();
      pulled.bias[expert] += pull;
      right.index_copy_(0, encoder::index_tensor(fold.texts, right.device()),
                        is_right(rows_of(opinions, fold.texts), pulled));
    }
    return right;
  };
  std::optional<ShareGuard> guard = guard_space(opinions, together, kMostPull);
  if (guard) shares.bias[guard->expert] += guard->pull;
  return guard;
}

}  // namespace

at::Tensor losses(const Opinions& opinions, const SpaceShares& shares) {
  const ShareLoss loss(opinions, shares.pool);
  return loss.with_slope(scores_by(shares, loss)).first.squeeze(0);
}

GuardedShares fit_space_shares(const Opinions& opinions, const ShareFit& fit) {
  const int64_t n = opinions.z.size(0), k = opinions.log_p.size(1);
  if (n == 0 || k == 1) {
    return {{.weight = at::zeros({k, opinions.z.size(1)}, opinions.z.options()),
             .bias = at::zeros({k}, opinions.z.options())},
            {}};
  }
  if (!can_fold(opinions))
    return {fit_shares(opinions, fusion::OpinionPool::kLinear, 0, fit.stop), {}};
  CrossValidation chosen = choose_setting(opinions, fit.seed, fit.stop);
  GuardedShares found{std::move(chosen.shares), {}};
  if (fit.guarded) found.guard = guard_shares(chosen.folds, opinions, found.shares);
  return found;
}

}  // namespace moecollab::training
