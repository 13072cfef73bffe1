#include "training/space_rows.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <map>

#include "encoder/features.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

constexpr int64_t kMostPerFeature = 2;
constexpr int64_t kRowStream = -5;  // an epoch number that no other shuffle has
constexpr double kShrinkages[] = {0.1, 0.3, 0.5, 0.7, 0.9, 1.0};
constexpr double kLeastScale = 0.01, kMostScale = 4, kNextScale = 1.2;

// Texts of one or more folds, float64.
struct Group {
  at::Tensor z, spaces;  // [n, D], [n]
};

Group select(const Group& all, const std::vector<int64_t>& rows) {
  const at::Tensor index = encoder::index_tensor(rows);
  return {all.z.index_select(0, index), all.spaces.index_select(0, index)};
}

struct Moments {
  at::Tensor means;   // [S, D]
  at::Tensor within;  // [D, D]
  at::Tensor shares;  // [S]
};

Moments moments(const Group& texts, int64_t count) {
  const at::Tensor one_hot = at::one_hot(texts.spaces, count).to(at::kDouble);
  const at::Tensor sizes = one_hot.sum(0).clamp_min(1);
  const at::Tensor means = one_hot.t().matmul(texts.z) / sizes.unsqueeze(1);
  const at::Tensor rest = texts.z - means.index_select(0, texts.spaces);
  const auto n = static_cast<double>(texts.z.size(0));
  return {means, rest.t().matmul(rest) / n, sizes / n};
}

struct Discriminant {
  at::Tensor weight, bias;  // [S, D], [S]; without the spaces' shares

  at::Tensor scores(const at::Tensor& z) const { return at::linear(z, weight, bias); }
};

Discriminant discriminant(const Moments& of, double shrinkage) {
  at::Tensor covariance = of.within * (1 - shrinkage);
  const double mean = of.within.trace().item<double>() / static_cast<double>(covariance.size(0));
  // Texts that are all the same leave nothing to divide by.
  covariance.diagonal().add_(std::max(shrinkage * mean, 1e-9));
  const at::Tensor weight =
      at::cholesky_solve(of.means.t(), at::linalg_cholesky(covariance)).t().contiguous();
  return {weight, (weight * of.means).sum(1) / -2};
}

// [n, S]: m texts of a space that are all right say no more than (m + 1) / (m + 2) of the next one
// (Platt 1999, equation 9); the other spaces share the rest. Without this, spaces that are easily
// told apart would get a scale without bound.
at::Tensor smoothed_truth(const at::Tensor& spaces, int64_t count) {
  const at::Tensor one_hot = at::one_hot(spaces, count).to(at::kDouble);
  const at::Tensor doubt = (one_hot.sum(0) + 2).reciprocal().index_select(0, spaces).unsqueeze(1);
  return at::where(one_hot > 0, 1 - doubt, doubt / static_cast<double>(count - 1));
}

double mean_loss(const at::Tensor& logits, const at::Tensor& truth) {
  return -(truth * at::log_softmax(logits, 1)).sum(1).mean().item<double>();
}

// What every text scores by the discriminants of the other folds.
struct CrossScores {
  std::map<double, at::Tensor> scores;  // by shrinkage, [n, S]
  at::Tensor log_shares;                // [n, S]
};

CrossScores cross_scores(const Group& all, int64_t count, uint64_t seed, StopToken stop) {
  const int64_t n = all.z.size(0);
  CrossScores cross;
  cross.log_shares = at::empty({n, count}, at::kDouble);
  for (const double rho : kShrinkages) cross.scores[rho] = at::empty({n, count}, at::kDouble);
  for (const Fold& fold : five_folds(n, seed, kRowStream)) {
    stop.throw_if_requested("fitting was interrupted; the old gate is unchanged");
    const Moments others = moments(select(all, fold.outside), count);
    const at::Tensor index = encoder::index_tensor(fold.inside), z = all.z.index_select(0, index);
    cross.log_shares.index_copy_(0, index, others.shares.log().expand({z.size(0), count}));
    for (auto& [rho, scores] : cross.scores)
      scores.index_copy_(0, index, discriminant(others, rho).scores(z));
  }
  return cross;
}

}  // namespace

std::optional<SpaceRows> discriminant_rows(const at::Tensor& z, const at::Tensor& spaces,
                                           int64_t count, uint64_t seed, StopToken stop) {
  const at::NoGradGuard no_grad;
  const Group all{z.to(encoder::kHost).to(at::kDouble), spaces.to(encoder::kHost)};
  const int64_t n = all.z.size(0);
  if (count < 2 || n > kMostPerFeature * all.z.size(1) || n == 0) return std::nullopt;
  if (all.spaces.bincount({}, count).min().item<int64_t>() < kFewestToFold) return std::nullopt;
  const CrossScores cross = cross_scores(all, count, seed, stop);
  const at::Tensor truth = smoothed_truth(all.spaces, count);
  SpaceRows found;
  found.texts = n;
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [rho, scores] : cross.scores) {
    for (double a = kLeastScale; a < kMostScale; a *= kNextScale) {
      const double loss = mean_loss(scores * a + cross.log_shares, truth);
      if (loss >= least) continue;
      least = loss;
      found.shrinkage = rho;
      found.scale = a;
    }
  }
  const Moments whole = moments(all, count);
  const Discriminant rows = discriminant(whole, found.shrinkage);
  found.weight = (rows.weight * found.scale).to(at::kFloat).to(z.device());
  found.bias = (rows.bias * found.scale + whole.shares.log()).to(at::kFloat).to(z.device());
  return found;
}

}  // namespace moecollab::training
