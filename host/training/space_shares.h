// The second factor of a gate in two: how the experts of one label space share it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "training/opinions.h"
#include "training/share_guard.h"

namespace moecollab::training {

// w(x) = softmax(W·ẑ + b) among the k experts, and how their opinions are pooled.
struct SpaceShares {
  at::Tensor weight, bias;  // [k, D], [k]
  fusion::OpinionPool pool = fusion::OpinionPool::kLinear;
  // κ of the penalty κ·‖W‖²/(2n); 0: the shares are the same for all texts, W is 0.
  double penalty = 0;
};

// −ln p(label) of each text [n] by these shares.
at::Tensor losses(const Opinions& opinions, const SpaceShares& shares);

// How shares are fitted in a gate of two factors.
struct ShareFit {
  uint64_t seed = 1;
  bool guarded = true;
  StopToken stop;
};
struct GuardedShares {
  SpaceShares shares;
  std::optional<ShareGuard> guard;  // nullopt: nothing was lost to the best expert, or not guarded
};

// Minimises the mean of −ln p(label) over the texts, with a penalty ‖b‖²/(2n): experts that the
// texts do not tell apart share equally. Five-fold cross-validation by the seed chooses the pool,
// and then whether the shares may depend on the text, and with which penalty: only if that lowers
// the loss by more than two standard errors of the difference. Then guard_space(), by the shares of
// that cross-validation. Fewer than 10 texts, or one expert: a linear pool, the same shares for
// all, no guard. Throws E_INTERRUPTED if a stop was asked for.
GuardedShares fit_space_shares(const Opinions& opinions, const ShareFit& fit);

}  // namespace moecollab::training
