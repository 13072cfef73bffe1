#include "training/discriminant.h"

#include <algorithm>
#include <cmath>

#include "encoder/features.h"

namespace moecollab::training {
namespace {

constexpr int64_t kReplayFolds = 8;
constexpr double kNoise = 1e-6;  // of a sum's square: what float32 leaves of a variance that is 0
constexpr double kLeast = 1e-3;  // shrinkage that keeps float32 positive definite

// Sums over a set of texts, from which its discriminants follow; those of two sets can be added.
struct Moments {
  at::Tensor outer;         // [D, D] Σ x xᵀ, float32
  at::Tensor sums, counts;  // [G + 1, D], [G + 1, 1]: by domain of the replay, then the new texts

  Moments operator+(const Moments& other) const {
    return {outer + other.outer, sums + other.sums, counts + other.counts};
  }
  Moments operator-(const Moments& other) const {
    return {outer - other.outer, sums - other.sums, counts - other.counts};
  }
};

// one_hot [n, G + 1] says which group a text is of.
Moments moments(const at::Tensor& texts, const at::Tensor& one_hot) {
  return {texts.t().matmul(texts), one_hot.t().matmul(texts).to(at::kDouble),
          one_hot.sum(0).unsqueeze(1).to(at::kDouble)};
}

// Shrinks the covariance of n texts, in place; then it is positive definite. A trace of `nothing`
// or less is none.
void shrink(at::Tensor& covariance, double n, double nothing) {
  const auto p = static_cast<double>(covariance.size(0));
  const double trace = covariance.trace().item<double>(),
               squares = std::pow(covariance.norm().item<double>(), 2);
  const double above = (1 - 2 / p) * squares + trace * trace,
               below = (n + 1 - 2 / p) * (squares - trace * trace / p);
  if (trace <= nothing) {
    covariance.zero_().fill_diagonal_(1);
    return;
  }
  const double rho = below > 0 ? std::clamp(above / below, kLeast, 1.0) : 1.0;
  covariance.mul_(1 - rho).diagonal().add_(rho * trace / p);
}

// [K, D]; others: the groups that are other domains, not empty.
at::Tensor directions(const Moments& all, const at::Tensor& others) {
  const double n = all.counts.sum().item<double>();
  const at::Tensor means = all.sums / all.counts.clamp_min(1);
  at::Tensor within =
      at::addmm(all.outer, means.t().to(at::kFloat), all.sums.to(at::kFloat), 1 / n, -1 / n);
  shrink(within, n, kNoise * all.outer.trace().item<double>() / n);
  const at::Tensor here = all.counts.index_select(0, others).clamp_max(1),  // [G', 1]: 1 or 0
      of_others = means.index_select(0, others);
  const at::Tensor centre = (of_others * here).sum(0, true) / here.sum().clamp_min(1);
  at::Tensor apart = means.narrow(0, means.size(0) - 1, 1) - centre;
  if (others.numel() > 1) apart = at::cat({apart, (of_others - centre) * here});
  return at::cholesky_solve(apart.t().to(at::kFloat), at::linalg_cholesky(within))
      .t()
      .to(at::kDouble);
}

at::Tensor every(int64_t folds, int64_t fold, int64_t n) {
  return at::arange(std::min(fold, n), n, folds, at::kLong);
}

}  // namespace

Discriminants fit_discriminants(const at::Tensor& fresh, const at::Tensor& replay,
                                const std::vector<int>& domains,
                                const std::vector<bool>& is_other) {
  const int64_t m = fresh.size(0), n = replay.size(0), folds = std::min(kReplayFolds, m);
  const auto groups = static_cast<int64_t>(is_other.size());
  std::vector<int64_t> group(domains.begin(), domains.end());
  group.insert(group.end(), static_cast<size_t>(m), groups);
  const at::Tensor texts = at::cat({replay, fresh}),
                   one_hot = at::one_hot(encoder::index_tensor(group), groups + 1).to(at::kFloat);
  const std::vector<int64_t> mask(is_other.begin(), is_other.end());
  const at::Tensor other = encoder::index_tensor(mask).to(at::kBool);
  const at::Tensor others =
      other.logical_and(one_hot.sum(0).narrow(0, 0, groups) > 0).nonzero().flatten();
  if (others.numel() == 0) {
    return {at::zeros({1, texts.size(1)}, at::kDouble), at::zeros({m, 1}, at::kDouble),
            at::zeros({n, 1}, at::kDouble)};
  }
  std::vector<at::Tensor> rows;
  std::vector<Moments> parts;
  for (int64_t k = 0; k < folds; ++k) {
    rows.push_back(at::cat({every(folds, k, n), every(folds, k, m) + n}));
    parts.push_back(
        moments(texts.index_select(0, rows.back()), one_hot.index_select(0, rows.back())));
  }
  Moments all = parts.front();
  for (size_t k = 1; k < parts.size(); ++k) all = all + parts[k];

  const at::Tensor found = directions(all, others);
  at::Tensor scores = at::empty({n + m, found.size(0)}, at::kDouble);
  for (size_t k = 0; k < parts.size(); ++k) {
    const at::Tensor w = folds > 1 ? directions(all - parts[k], others) : found;
    const at::Tensor score = texts.index_select(0, rows[k]).matmul(w.t().to(at::kFloat));
    scores.index_copy_(0, rows[k], score.to(at::kDouble));
  }
  return {found, scores.narrow(0, n, m), scores.narrow(0, 0, n)};
}

}  // namespace moecollab::training
