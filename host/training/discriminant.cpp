#include "training/discriminant.h"

#include <algorithm>

#include "encoder/features.h"

namespace moecollab::training {
namespace {

constexpr int64_t kFolds = 8;

// Sums over a set of texts, from which its discriminant follows; those of two sets can be added.
struct Moments {
  at::Tensor outer;          // [D, D] Σ x xᵀ over the replay
  at::Tensor sums, counts;   // [G, D], [G, 1]: the replay by domain
  at::Tensor fresh, number;  // [D], []: the new texts

  Moments operator+(const Moments& other) const {
    return {outer + other.outer, sums + other.sums, counts + other.counts, fresh + other.fresh,
            number + other.number};
  }
  Moments operator-(const Moments& other) const {
    return {outer - other.outer, sums - other.sums, counts - other.counts, fresh - other.fresh,
            number - other.number};
  }
};

// one_hot [n, G] says which domain a text of the replay is of.
Moments moments(const at::Tensor& fresh, const at::Tensor& replay, const at::Tensor& one_hot) {
  const at::Tensor x = replay.to(at::kDouble);
  return {replay.t().matmul(replay).to(at::kDouble), one_hot.t().matmul(x),
          one_hot.sum(0).unsqueeze(1), fresh.to(at::kDouble).sum(0),
          at::scalar_tensor(fresh.size(0), at::kDouble)};
}

// S + shrinkage, positive definite. n: texts that the covariance is of.
at::Tensor shrunk(const at::Tensor& covariance, double n) {
  const auto p = static_cast<double>(covariance.size(0));
  const double trace = covariance.trace().item<double>(),
               squares = covariance.square().sum().item<double>();
  const at::Tensor identity = at::eye(covariance.size(0), at::kDouble);
  if (trace <= 0) return identity;
  const double above = (1 - 2 / p) * squares + trace * trace,
               below = (n + 1 - 2 / p) * (squares - trace * trace / p);
  const double rho = below > 0 ? std::min(1.0, above / below) : 1.0;
  return (1 - rho) * covariance + rho * trace / p * identity;
}

at::Tensor direction(const Moments& all, const at::Tensor& is_other) {
  const at::Tensor means = all.sums / all.counts.clamp_min(1),
                   others = is_other.logical_and(all.counts.squeeze(1) > 0).nonzero().flatten();
  if (others.numel() == 0) return at::zeros_like(all.fresh);
  const double n = all.counts.sum().item<double>();
  const at::Tensor within = (all.outer - means.t().matmul(all.sums)) / n;
  const at::Tensor apart = all.fresh / all.number - means.index_select(0, others).mean(0);
  return at::linalg_solve(shrunk(within, n), apart);
}

at::Tensor every(int64_t folds, int64_t fold, int64_t n) {
  return at::arange(std::min(fold, n), n, folds, at::kLong);
}

}  // namespace

Discriminant fit_discriminant(const at::Tensor& fresh, const at::Tensor& replay,
                              const std::vector<int>& domains, const std::vector<bool>& is_other) {
  const int64_t m = fresh.size(0), n = replay.size(0), folds = std::min(kFolds, m);
  const std::vector<int64_t> domain(domains.begin(), domains.end()),
      mask(is_other.begin(), is_other.end());
  const at::Tensor one_hot =
      at::one_hot(encoder::index_tensor(domain), static_cast<int64_t>(mask.size())).to(at::kDouble);
  const at::Tensor other = encoder::index_tensor(mask).to(at::kBool);
  std::vector<Moments> parts;
  for (int64_t k = 0; k < folds; ++k) {
    const at::Tensor rows = every(folds, k, n);
    parts.push_back(moments(fresh.index_select(0, every(folds, k, m)), replay.index_select(0, rows),
                            one_hot.index_select(0, rows)));
  }
  Moments all = parts.front();
  for (size_t k = 1; k < parts.size(); ++k) all = all + parts[k];

  Discriminant out{direction(all, other), at::empty({m}, at::kDouble), at::empty({n}, at::kDouble)};
  for (int64_t k = 0; k < folds; ++k) {
    const at::Tensor w =
        folds > 1 ? direction(all - parts[static_cast<size_t>(k)], other) : out.direction;
    const at::Tensor new_rows = every(folds, k, m), old_rows = every(folds, k, n);
    out.fresh.index_copy_(0, new_rows, fresh.index_select(0, new_rows).to(at::kDouble).mv(w));
    out.replay.index_copy_(0, old_rows, replay.index_select(0, old_rows).to(at::kDouble).mv(w));
  }
  return out;
}

}  // namespace moecollab::training
