#include "training/growth_shares.h"

#include <algorithm>
#include <cmath>

#include "encoder/features.h"

namespace moecollab::training {
namespace {

// [n]: whether all of these experts' answers are known.
at::Tensor are_known(const AnsweredTexts& texts, const std::vector<int64_t>& experts) {
  at::Tensor known = at::ones({texts.rows()}, at::kBool);
  for (const int64_t e : experts) known = known.logical_and(texts.is_known(static_cast<size_t>(e)));
  return known;
}

SpaceShares without_texts(const GrowthSetting& setting) {
  const std::vector<int64_t> old = setting.sharing();
  const int64_t added = setting.new_experts();
  if (old.empty())
    return {.weight = at::zeros({added, setting.gate.weight.size(1)}), .bias = at::zeros({added})};
  const bool complete = std::ranges::all_of(
      setting.experts.begin() + setting.gate.experts(), setting.experts.end(),
      [&](const fusion::ExpertLabels& e) { return fusion::is_complete(e, setting.labels); });
  const at::Tensor index = encoder::index_tensor(old),
                   weight = setting.gate.weight.index_select(0, index),
                   bias = setting.gate.bias.index_select(0, index);
  return {.weight = at::cat({weight, weight.mean(0, true).expand({added, -1})}),
          .bias = at::cat({bias, (bias.logsumexp(0) - std::log(std::ssize(old))).expand({added})}),
          .pool = complete ? setting.experts[static_cast<size_t>(old.front())].pool
                           : fusion::OpinionPool::kLinear};
}

// How the old experts of the gate's s-th space share it.
SpaceShares old_shares(const GrowthSetting& setting, const std::vector<int64_t>& experts) {
  const at::Tensor index = encoder::index_tensor(experts);
  return {.weight = setting.gate.weight.index_select(0, index),
          .bias = setting.gate.bias.index_select(0, index),
          .pool = setting.experts[static_cast<size_t>(experts.front())].pool};
}

}  // namespace

void share_space(const GrowthSetting& setting, const AnsweredTexts& texts, const ShareFit& fit,
                 NewRows& rows) {
  if (texts.rows() == 0) {
    rows.shares = without_texts(setting);
    return;
  }
  const int space = setting.experts.back().space;
  const std::vector<int64_t> own = experts_in(space, setting.experts);
  const at::Tensor known = are_known(texts, own).logical_and(texts.targets.ge(0));
  const at::Tensor targets = at::where(known, texts.targets, -1);
  if (texts_in(space, targets, setting.labels).numel() == 0) {
    rows.shares = without_texts(setting);
    return;
  }
  Opinions said = opinions_in(space, setting.gate.standardised(texts.z), targets, texts.logits,
                              setting.experts, setting.labels);
  said.honest = are_honest(own, texts.seen);
  GuardedShares found = fit_space_shares(said, fit);
  rows.shares = std::move(found.shares);
  rows.shares_are_fitted = true;
  rows.guard = found.guard;
  if (rows.guard) rows.guard->expert = own[static_cast<size_t>(rows.guard->expert)];
}

at::Tensor worth_of_spaces(const GrowthSetting& setting, const SpaceShares& shares,
                           const AnsweredTexts& texts) {
  const at::Tensor z = setting.gate.standardised(texts.z);
  std::vector<at::Tensor> logits, columns;
  for (size_t e = 0; e < texts.logits.size(); ++e)
    logits.push_back(
        texts.logits[e].masked_fill(texts.is_known(e).logical_not().unsqueeze(1), 0.0));
  const auto add = [&](int space, const SpaceShares& sharing) {
    at::Tensor worth = texts.spaces.eq(space).to(at::kDouble);
    const at::Tensor labelled = texts_in(space, texts.targets, setting.labels);
    if (labelled.numel() > 0) {
      const Opinions said =
          opinions_in(space, z, texts.targets, logits, setting.experts, setting.labels);
      worth.index_copy_(0, labelled, (-losses(said, sharing)).exp().to(at::kDouble));
    }
    columns.push_back(worth);
  };
  for (int64_t s = 0; s < setting.gate.space_bias.size(0); ++s) {
    std::vector<int64_t> experts;
    for (int64_t e = 0; e < setting.gate.experts(); ++e)
      if (setting.gate.spaces[static_cast<size_t>(e)] == s) experts.push_back(e);
    add(setting.experts[static_cast<size_t>(experts.front())].space, old_shares(setting, experts));
  }
  add(setting.experts.back().space, shares);
  return at::stack(columns, 1);
}

}  // namespace moecollab::training
