#include "training/growth_guard.h"

#include <algorithm>
#include <set>
#include <utility>

#include "encoder/features.h"

namespace moecollab::training {
namespace {

constexpr double kStep = 0.25, kLowest = 3.0;  // nats
constexpr int kRounds = 5;

std::vector<at::Tensor> by_domain(const AnsweredTexts& rows) {
  std::vector<at::Tensor> tensors;
  for (size_t d = 0; d < rows.domains.size(); ++d)
    tensors.push_back(rows.rows_of(static_cast<int>(d)));
  return tensors;
}

double mean_of(const at::Tensor& values, const at::Tensor& rows) {
  return values.index_select(0, rows).mean().item<double>();
}

// The last `count` of the biases.
at::Tensor lowered_by(const at::Tensor& bias, int64_t count, double by) {
  const int64_t old = bias.size(0) - count;
  return at::cat({bias.narrow(0, 0, old), bias.narrow(0, old, count) - by});
}

}  // namespace

GrowthGuard::GrowthGuard(GrowthSetting setting, fusion::Mode fusion, int64_t top_k,
                         AnsweredTexts replay, AnsweredTexts unseen)
    : setting_(std::move(setting)),
      fusion_(fusion),
      top_k_(top_k),
      replay_(std::move(replay)),
      unseen_(std::move(unseen)),
      replay_of_(by_domain(replay_)),
      unseen_of_(by_domain(unseen_)) {
  if (!replay_of_.empty()) answered_ = right(before(setting_), replay_);
  if (unseen_of_.empty()) return;
  routed_ = routed(before(setting_));
  worth_ = at::ones_like(routed_);
  for (size_t d = 0; d < unseen_of_.size(); ++d) {
    const auto known =
        std::find(replay_.domains.begin(), replay_.domains.end(), unseen_.domains[d]);
    if (known == replay_.domains.end()) continue;
    const at::Tensor& own = replay_of_[static_cast<size_t>(known - replay_.domains.begin())];
    worth_.index_fill_(0, unseen_of_[d], mean_of(answered_, own));
  }
}

at::Tensor GrowthGuard::right(const GrownGate& gate, const AnsweredTexts& texts) const {
  return answered_right(gate, setting_.labels, texts, fusion_, top_k_).to(at::kDouble);
}

// Whether the label space with the greatest mass is the unseen text's own, [n] float64.
at::Tensor GrowthGuard::routed(const GrownGate& gate) const {
  std::vector<int64_t> spaces;
  for (const fusion::ExpertLabels& expert : gate.experts) spaces.push_back(expert.space);
  at::Tensor g = at::softmax(gate.gate.router_logits(unseen_.z), 1);
  if (gate.caps.defined()) g = gate::capped(g, gate.caps);
  const auto count = static_cast<int64_t>(setting_.labels.spaces().size());
  const at::Tensor mass =
      at::zeros({g.size(0), count}).index_add(1, encoder::index_tensor(spaces), g);
  return mass.argmax(1).eq(unseen_.spaces).to(at::kDouble);
}

std::vector<GrowthGuard::Change> GrowthGuard::changes(const GrownGate& grown) const {
  std::vector<Change> all;
  if (replay_of_.empty()) return all;
  const at::Tensor after = right(grown, replay_);
  for (size_t d = 0; d < replay_of_.size(); ++d) {
    all.push_back({replay_.domains[d], replay_of_[d].numel(), mean_of(answered_, replay_of_[d]),
                   mean_of(after, replay_of_[d])});
  }
  return all;
}

std::vector<GrowthGuard::Change> GrowthGuard::routing_changes(const GrownGate& grown) const {
  std::vector<Change> all;
  if (unseen_of_.empty()) return all;
  const at::Tensor before = routed_ * worth_, after = routed(grown) * worth_;
  for (size_t d = 0; d < unseen_of_.size(); ++d) {
    all.push_back({unseen_.domains[d], unseen_of_[d].numel(), mean_of(before, unseen_of_[d]),
                   mean_of(after, unseen_of_[d])});
  }
  return all;
}

bool GrowthGuard::spares(const GrownGate& grown) const {
  const auto all_kept = [](const std::vector<Change>& all) {
    return std::all_of(all.begin(), all.end(), [](const Change& c) { return !c.too_much(); });
  };
  return all_kept(routing_changes(grown)) && all_kept(changes(grown));
}

NewRows GrowthGuard::sparing(RowFit& fit, const std::vector<std::string>& domains,
                             std::vector<double>& weights) const {
  weights.assign(domains.size(), 1.0);
  NewRows rows = fit.rows(weights);
  if (!rows.weight.defined()) return rows;  // shares alone, which no weight moves
  for (int round = 0; round < kRounds; ++round) {
    const GrownGate after = grown(setting_, rows);
    std::set<std::string> losers;
    for (const auto& all : {changes(after), routing_changes(after)}) {
      for (const Change& c : all) {
        if (c.too_much() || c.nearly_too_much()) losers.insert(c.domain);
      }
    }
    if (losers.empty()) break;
    for (size_t d = 0; d < domains.size(); ++d) {
      if (losers.contains(domains[d])) weights[d] *= 2;
    }
    const int32_t iterations = rows.iterations;
    rows = fit.rows(weights);
    rows.iterations += iterations;
  }
  return rows;
}

NewRows GrowthGuard::lowered(NewRows rows, double& by) const {
  const NewRows fitted = rows;
  for (by = 0; by <= kLowest; by += kStep) {
    if (fitted.bias.defined()) {
      rows.bias = fitted.bias - by;
    } else {
      rows.shares->bias = lowered_by(fitted.shares->bias, setting_.new_experts(), by);
    }
    if (spares(grown(setting_, rows))) return rows;
  }
  by = 0;
  return fitted;
}

}  // namespace moecollab::training
