#include "training/gate_problem.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "base/probability.h"

namespace moecollab::training {
namespace {

at::Tensor make_space_mask(const std::vector<fusion::ExpertLabels>& experts, int64_t spaces,
                           at::Device device) {
  at::Tensor mask = at::full({spaces, static_cast<int64_t>(experts.size())},
                             -std::numeric_limits<float>::infinity());
  for (size_t e = 0; e < experts.size(); ++e)
    mask[experts[e].space][static_cast<int64_t>(e)] = 0.0F;
  return mask.to(device);
}

at::Tensor finite_or_uniform(const at::Tensor& logits, size_t expert, Log log) {
  const at::Tensor bad = logits.isfinite().all(1).logical_not();
  const auto count = bad.sum().item<int64_t>();
  if (count == 0) return logits;
  log.warning(fmt::format(
      "expert {} of the gate answered {} held-out texts with NaN or infinity; the gate learns on "
      "them as if it knew nothing",
      expert + 1, count));
  return logits.masked_fill(bad.unsqueeze(1), 0.0);
}

// Index of each global label id among the expert's classes [|Y|]; −1 if it has no such class.
at::Tensor class_of_label(const fusion::ExpertLabels& expert, int labels, at::Device device) {
  std::vector<int64_t> place(static_cast<size_t>(labels), -1);
  for (size_t c = 0; c < expert.columns.size(); ++c)
    place[static_cast<size_t>(expert.columns[c])] = static_cast<int64_t>(c);
  return encoder::index_tensor(place, device);
}

}  // namespace

GateProblem::GateProblem(const GateData& data, std::vector<fusion::ExpertLabels> experts,
                         fusion::LabelUnion labels, const std::vector<encoder::PooledKey>& features,
                         fusion::Mode fusion, int64_t top_k, Log log, at::Device device)
    : experts_(std::move(experts)),
      labels_(std::move(labels)),
      fusion_(fusion),
      top_k_(top_k),
      start_(gate::moved(
          gate::make_gate(features, data.held_out.z, static_cast<int64_t>(experts_.size())),
          device)),
      inputs_{start_.standardised(data.held_out.z.to(device)), {}},
      targets_(data.held_out.targets.to(device)),
      domains_(data.held_out.domain_of),
      seen_(data.held_out.seen),
      space_mask_(
          make_space_mask(experts_, static_cast<int64_t>(labels_.spaces().size()), device)) {
  const at::NoGradGuard no_grad;
  gate::routing_weights(at::zeros({1, start_.experts()}), top_k);  // refuses a bad top_k
  const bool routes_others = fusion::is_task_agnostic(fusion) && data.others.rows() > 0;
  routing_inputs_.z =
      routes_others ? start_.standardised(data.others.z.to(device)) : inputs_.z.narrow(0, 0, 0);
  routing_spaces_ = routes_others ? data.others.spaces.to(device) : targets_.narrow(0, 0, 0);
  if (domains_.empty()) domains_.assign(static_cast<size_t>(texts()), 0);
  if (static_cast<int64_t>(domains_.size()) != texts() || targets_.size(0) != texts() ||
      data.held_out.logits.size() != experts_.size()) {
    throw std::logic_error("GateProblem: texts, targets, domains and logits do not fit together");
  }
  for (const int domain : domains_) domain_count_ = std::max(domain_count_, domain + 1);
  for (size_t e = 0; e < data.held_out.logits.size(); ++e)
    logits_.push_back(finite_or_uniform(data.held_out.logits[e].to(device), e, log));
  if (fusion_ == fusion::Mode::kMixture) store_target_probabilities();
}

void GateProblem::store_target_probabilities() {
  target_p_ = at::zeros({texts(), static_cast<int64_t>(experts_.size())}, inputs_.z.options());
  for (size_t e = 0; e < experts_.size(); ++e) {
    const at::Tensor own =
        class_of_label(experts_[e], labels_.size(), device()).index_select(0, targets_);
    const at::Tensor p = at::softmax(logits_[e] / experts_[e].temperature, -1)
                             .gather(1, own.clamp_min(0).unsqueeze(1))
                             .squeeze(1);
    target_p_.select(1, static_cast<int64_t>(e)).copy_(p * own.ge(0));
  }
}

GateProblem::Inputs GateProblem::Inputs::rows(const at::Tensor& index) const {
  return {z.index_select(0, index),
          log_shares.defined() ? log_shares.index_select(0, index) : at::Tensor()};
}

Opinions GateProblem::opinions(int space) const {
  Opinions said = opinions_in(space, inputs_.z, targets_, logits_, experts_, labels_);
  said.honest = are_honest(experts_in(space, experts_), seen_);
  return said;
}

void GateProblem::share_spaces(uint64_t seed, bool guarded, StopToken stop) {
  if (fusion_ != fusion::Mode::kMixture)
    throw std::logic_error("GateProblem: a gate in two factors under another fusion than mixture");
  const at::NoGradGuard no_grad;
  std::vector<int> order;  // the spaces as the experts come to them, which is how a file has them
  share_guards_.clear();
  start_.spaces.clear();
  for (const fusion::ExpertLabels& expert : experts_) {
    const auto found = std::ranges::find(order, expert.space);
    start_.spaces.push_back(found - order.begin());
    if (found == order.end()) order.push_back(expert.space);
  }
  for (const int space : order) {
    const Opinions said = opinions(space);
    settle_space(space, said, fit_space_shares(said, {seed, guarded, stop}));
  }
  const auto count = static_cast<int64_t>(order.size());
  start_.space_weight = at::zeros({count, inputs_.z.size(1)}, inputs_.z.options());
  start_.space_bias = at::zeros({count}, inputs_.z.options());
  for (Inputs* inputs : {&inputs_, &routing_inputs_})
    inputs->log_shares = start_.log_share_in_space(inputs->z);
  find_space_rows(order, seed, stop);
}

// Takes over how the experts of the space share it.
void GateProblem::settle_space(int space, const Opinions& said, GuardedShares fitted) {
  const std::vector<int64_t> own = experts_in(space, experts_);
  if (fitted.guard) {
    fitted.guard->expert = own[static_cast<size_t>(fitted.guard->expert)];
    share_guards_.push_back(*fitted.guard);
  }
  const SpaceShares& shares = fitted.shares;
  const at::Tensor index = encoder::index_tensor(own, device());
  start_.weight.index_copy_(0, index, shares.weight);
  start_.bias.index_copy_(0, index, shares.bias);
  for (const int64_t e : own) experts_[static_cast<size_t>(e)].pool = shares.pool;
  if (shares.pool != fusion::OpinionPool::kLogarithmic) return;
  const at::Tensor rows = texts_in(space, targets_, labels_), p = (-losses(said, shares)).exp();
  for (const int64_t e : own) target_p_.select(1, e).index_copy_(0, rows, p);
}

// spaces: the label space of each row of the first factor.
void GateProblem::find_space_rows(const std::vector<int>& spaces, uint64_t seed, StopToken stop) {
  std::vector<int64_t> row_of_label(static_cast<size_t>(labels_.size()), -1),
      row_of_space(labels_.spaces().size(), -1);
  for (size_t row = 0; row < spaces.size(); ++row) {
    const fusion::LabelUnion::Range range = labels_.range(spaces[row]);
    std::fill_n(row_of_label.begin() + range.offset, range.count, static_cast<int64_t>(row));
    row_of_space[static_cast<size_t>(spaces[row])] = static_cast<int64_t>(row);
  }
  const auto rows = [&](const std::vector<int64_t>& table, const at::Tensor& index) {
    return encoder::index_tensor(table, device()).index_select(0, index);
  };
  const at::Tensor own =
      at::cat({rows(row_of_label, targets_), rows(row_of_space, routing_spaces_)});
  if (own.lt(0).any().item<bool>()) return;  // a space without an expert
  space_rows_ = discriminant_rows(at::cat({inputs_.z, routing_inputs_.z}), own,
                                  static_cast<int64_t>(spaces.size()), seed, stop);
  if (!space_rows_) return;
  start_.space_weight = space_rows_->weight;
  start_.space_bias = space_rows_->bias;
}

at::Tensor GateProblem::task_loss(const at::Tensor& router_logits, const at::Tensor& rows) const {
  if (!target_p_.defined()) return task_loss_by_fusion(router_logits, rows);
  const at::Tensor p = (at::softmax(router_logits, -1) * target_p_.index_select(0, rows)).sum(-1);
  return -p.clamp_min(kLeastProbability).log().mean(-1);
}

GateProblem GateProblem::answers_of(std::span<const int64_t> rows) const {
  const at::Tensor index = encoder::index_tensor(rows, device());
  const auto own = [&](const at::Tensor& all) {
    return all.defined() ? all.index_select(0, index).to(encoder::kHost) : all;
  };
  GateProblem part = *this;
  part.inputs_ = {at::empty({std::ssize(rows), 0}), {}};
  part.routing_inputs_ = {at::empty({0, 0}), {}};
  part.routing_spaces_ = at::empty({0}, at::kLong);
  part.space_mask_ = space_mask_.to(encoder::kHost);
  part.targets_ = own(targets_);
  part.target_p_ = own(target_p_);
  for (at::Tensor& logits : part.logits_) logits = own(logits);
  part.domains_.clear();
  for (const int64_t row : rows) part.domains_.push_back(domains_[static_cast<size_t>(row)]);
  return part;
}

at::Tensor GateProblem::fused(const at::Tensor& weights, const at::Tensor& rows) const {
  std::vector<at::Tensor> logits;
  for (const at::Tensor& all : logits_) logits.push_back(all.index_select(0, rows));
  return fusion::fuse(fusion_, weights, logits, experts_, labels_);
}

at::Tensor GateProblem::task_loss_by_fusion(const at::Tensor& router_logits,
                                            const at::Tensor& rows) const {
  if (router_logits.dim() == 3) {
    std::vector<at::Tensor> losses;
    for (const at::Tensor& gate : router_logits.unbind(0))
      losses.push_back(task_loss_by_fusion(gate, rows));
    return at::stack(losses);
  }
  return fusion::task_loss(fusion_, fused(at::softmax(router_logits, -1), rows),
                           targets_.index_select(0, rows), labels_);
}

at::Tensor GateProblem::routing_loss(const at::Tensor& router_logits,
                                     const at::Tensor& rows) const {
  const at::Tensor log_g = at::log_softmax(router_logits, -1);
  const at::Tensor mask = space_mask_.index_select(0, routing_spaces_.index_select(0, rows));
  return -(log_g + mask).logsumexp(-1).mean(-1);
}

}  // namespace moecollab::training
