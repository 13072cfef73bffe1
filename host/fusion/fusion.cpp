#include "fusion/fusion.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>

#include "base/probability.h"
#include "encoder/device.h"
#include "encoder/parallel.h"

namespace moecollab::fusion {
namespace {

at::Tensor long_tensor(const std::vector<int>& values, at::Device device = encoder::kHost) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor.to(device);
}

// Positions of the expert's classes within its space.
std::vector<int> positions(const ExpertLabels& expert, const LabelUnion& labels) {
  std::vector<int> positions = expert.columns;
  for (int& position : positions) position -= labels.range(expert.space).offset;
  return positions;
}

// Whether `values` are plain numbers that nobody differentiates.
bool is_plain(const at::Tensor& values) {
  return values.scalar_type() == at::kFloat && values.is_cpu() &&
         !(at::GradMode::is_enabled() && values.requires_grad());
}

// softmax(logits / temperature) of each expert that has a weight; undefined for the others.
std::vector<at::Tensor> probabilities(const at::Tensor& weights,
                                      const std::vector<at::Tensor>& logits,
                                      const std::vector<ExpertLabels>& experts) {
  const auto weight = weights.accessor<float, 2>();
  std::vector<at::Tensor> own(experts.size());
  std::vector<size_t> asked;
  for (size_t e = 0; e < experts.size(); ++e) {
    int64_t row = 0;
    while (row < weight.size(0) && weight[row][static_cast<int64_t>(e)] == 0) ++row;
    if (row < weight.size(0)) asked.push_back(e);
  }
  const auto compute = [&](int64_t i) {
    const at::NoGradGuard no_grad;
    const size_t e = asked[static_cast<size_t>(i)];
    const double temperature = experts[e].temperature;
    own[e] = at::softmax(temperature == 1 ? logits[e] : logits[e] / temperature, -1);
  };
  // Each softmax of more than one row would wake the other threads for itself.
  const auto n = static_cast<int64_t>(asked.size());
  if (weight.size(0) > 1) {
    encoder::for_each_in_parallel(n, compute);
  } else {
    for (int64_t i = 0; i < n; ++i) compute(i);
  }
  return own;
}

// Adds g·p of one expert to the mixture [n, width] as operators would, number for number. For the
// few numbers of a text their calls would cost more than these.
void add_share(const at::Tensor& weights, int64_t expert, const at::Tensor& own,
               const std::vector<int>& places, at::Tensor& mixture) {
  const auto weight = weights.accessor<float, 2>();
  const auto from = own.accessor<float, 2>();
  auto to = mixture.accessor<float, 2>();
  for (int64_t row = 0; row < weight.size(0); ++row) {
    for (int64_t c = 0; c < from.size(1); ++c)
      to[row][places[static_cast<size_t>(c)]] += from[row][c] * weight[row][expert];
  }
}

constexpr float kFloor = 1e-30F;  // of a mixture whose logarithm is taken
// An opinion has the floor that the fit of the shares took.
constexpr auto kLeastOpinion = static_cast<float>(kLeastProbability);

// Experts of one label space whose opinions are pooled by their logarithms, and where each one's
// classes stand among the space's labels.
struct LogarithmicPool {
  LabelUnion::Range range;
  std::vector<int64_t> experts;
  std::vector<std::vector<int>> places;
};

std::vector<LogarithmicPool> logarithmic_pools(const std::vector<ExpertLabels>& experts,
                                               const LabelUnion& labels) {
  std::map<int, LogarithmicPool> by_space;
  for (size_t e = 0; e < experts.size(); ++e) {
    if (experts[e].pool != OpinionPool::kLogarithmic) continue;
    LogarithmicPool& pool = by_space[experts[e].space];
    pool.range = labels.range(experts[e].space);
    if (!is_complete(experts[e], labels))
      throw std::logic_error("fuse: a logarithmic pool of an expert that does not know all labels");
    pool.experts.push_back(static_cast<int64_t>(e));
    pool.places.push_back(positions(experts[e], labels));
  }
  std::vector<LogarithmicPool> pools;
  for (auto& [space, pool] : by_space) pools.push_back(std::move(pool));
  return pools;
}

// One row's Σ_e w_e·ln p_e over the labels of the space, as shares of `mass`.
void sum_opinions(const LogarithmicPool& pool, const at::TensorAccessor<float, 1>& weight,
                  const std::vector<at::Tensor>& own, int64_t row, float mass,
                  std::vector<float>& score) {
  std::ranges::fill(score, 0.0F);
  for (size_t i = 0; i < pool.experts.size(); ++i) {
    const float share = weight[pool.experts[i]] / mass;
    if (share == 0) continue;
    const auto p = own[static_cast<size_t>(pool.experts[i])].accessor<float, 2>()[row];
    for (int64_t c = 0; c < p.size(0); ++c)
      score[static_cast<size_t>(pool.places[i][static_cast<size_t>(c)])] +=
          share * std::log(std::max(p[c], kLeastOpinion));
  }
}

// Adds what the pool's experts say together, times their mass, to the mixture [n, |Y|].
void add_pool(const at::Tensor& weights, const std::vector<at::Tensor>& own,
              const LogarithmicPool& pool, at::Tensor& mixture) {
  const auto weight = weights.accessor<float, 2>();
  auto to = mixture.accessor<float, 2>();
  std::vector<float> score(static_cast<size_t>(pool.range.count));
  for (int64_t row = 0; row < weight.size(0); ++row) {
    float mass = 0, sum = 0;
    for (const int64_t e : pool.experts) mass += weight[row][e];
    if (mass == 0) continue;
    sum_opinions(pool, weight[row], own, row, mass, score);
    const float highest = std::ranges::max(score);
    for (float& value : score) sum += value = std::exp(value - highest);
    for (size_t c = 0; c < score.size(); ++c)
      to[row][pool.range.offset + static_cast<int64_t>(c)] += mass * score[c] / sum;
  }
}

// The same by operators, which can be differentiated.
at::Tensor with_pool(const at::Tensor& weights, const std::vector<at::Tensor>& own,
                     const LogarithmicPool& pool, const at::Tensor& mixture) {
  at::Tensor score = at::zeros({weights.size(0), pool.range.count}, weights.options());
  at::Tensor mass = at::zeros({weights.size(0), 1}, weights.options());
  for (const int64_t e : pool.experts) mass = mass + weights.narrow(1, e, 1);
  for (size_t i = 0; i < pool.experts.size(); ++i) {
    const int64_t e = pool.experts[i];
    const at::Tensor share = weights.narrow(1, e, 1) / mass.clamp_min(kFloor);
    score = score.index_add(1, long_tensor(pool.places[i], weights.device()),
                            own[static_cast<size_t>(e)].clamp_min(kLeastOpinion).log() * share);
  }
  std::vector<int> columns(static_cast<size_t>(pool.range.count));
  std::iota(columns.begin(), columns.end(), pool.range.offset);
  return mixture.index_add(1, long_tensor(columns, weights.device()),
                           at::softmax(score, -1) * mass);
}

// log Σ_e g_e·p_e, where expert e's probabilities stand in `places[e]` of `width` columns, and the
// experts of each of the `pools` speak with one voice.
at::Tensor log_mixture(const at::Tensor& weights, const std::vector<at::Tensor>& logits,
                       const std::vector<ExpertLabels>& experts,
                       const std::vector<std::vector<int>>& places, int64_t width,
                       const std::vector<LogarithmicPool>& pools = {}) {
  at::Tensor p = at::zeros({weights.size(0), width}, weights.options());
  const bool plain = is_plain(weights) && std::ranges::all_of(logits, is_plain);
  std::vector<at::Tensor> own;
  if (plain) own = probabilities(weights, logits, experts);
  for (size_t e = 0; e < experts.size(); ++e) {
    if (!plain) own.push_back(at::softmax(logits[e] / experts[e].temperature, -1));
    if (!pools.empty() && experts[e].pool == OpinionPool::kLogarithmic) continue;
    const auto column = static_cast<int64_t>(e);
    if (!plain) {
      p = p.index_add(1, long_tensor(places[e], weights.device()),
                      own[e] * weights.select(1, column).unsqueeze(1));
    } else if (own[e].defined()) {
      add_share(weights, column, own[e], places[e], p);
    }
  }
  for (const LogarithmicPool& pool : pools) {
    if (plain) {
      add_pool(weights, own, pool, p);
    } else {
      p = with_pool(weights, own, pool, p);
    }
  }
  // The floor keeps the gradient finite if no selected expert knows the label.
  return p.clamp_min(kFloor).log();
}

at::Tensor paper(const at::Tensor& weights, const std::vector<at::Tensor>& logits,
                 const std::vector<ExpertLabels>& experts, const LabelUnion& labels) {
  at::Tensor fused = at::zeros({weights.size(0), labels.c_max()}, weights.options());
  for (size_t e = 0; e < experts.size(); ++e) {
    const at::Tensor share = weights.select(1, static_cast<int64_t>(e)).unsqueeze(1);
    fused = fused.index_add(1, long_tensor(positions(experts[e], labels), weights.device()),
                            logits[e] / experts[e].temperature * share);
  }
  return fused;
}

at::Tensor logit_union(const at::Tensor& weights, const std::vector<at::Tensor>& logits,
                       const std::vector<ExpertLabels>& experts, const LabelUnion& labels) {
  at::Tensor score = at::zeros({weights.size(0), labels.size()}, weights.options());
  at::Tensor known = at::zeros_like(score);
  for (size_t e = 0; e < experts.size(); ++e) {
    const at::Tensor share = weights.select(1, static_cast<int64_t>(e)).unsqueeze(1);
    const at::Tensor column = long_tensor(experts[e].columns, weights.device());
    const double evidence = std::log(static_cast<double>(experts[e].columns.size()));
    const at::Tensor own = at::log_softmax(logits[e] / experts[e].temperature, -1) + evidence;
    score = score.index_add(1, column, own * share);
    known = known.index_add(1, column, (share > 0).to(known.dtype()).expand_as(own));
  }
  return at::log_softmax(score.masked_fill(known == 0, -std::numeric_limits<double>::infinity()),
                         -1);
}

at::Tensor to_positions(const at::Tensor& targets, const LabelUnion& labels) {
  std::vector<int> offsets;
  for (int id = 0; id < labels.size(); ++id)
    offsets.push_back(labels.range(labels.space_of(id)).offset);
  return targets - long_tensor(offsets, targets.device()).index_select(0, targets);
}

}  // namespace

bool is_complete(const ExpertLabels& expert, const LabelUnion& labels) {
  return std::ssize(expert.columns) == labels.range(expert.space).count;
}

at::Tensor label_columns(const ExpertLabels& expert) { return long_tensor(expert.columns); }

at::Tensor fuse(Mode mode, const at::Tensor& weights, const std::vector<at::Tensor>& logits,
                const std::vector<ExpertLabels>& experts, const LabelUnion& labels) {
  if (mode == Mode::kPaper) return paper(weights, logits, experts, labels);
  if (mode == Mode::kLogitUnion) return logit_union(weights, logits, experts, labels);
  std::vector<std::vector<int>> places;
  for (const ExpertLabels& expert : experts) {
    places.push_back(mode == Mode::kMasked ? positions(expert, labels) : expert.columns);
  }
  if (mode == Mode::kMasked) return log_mixture(weights, logits, experts, places, labels.c_max());
  return log_mixture(weights, logits, experts, places, labels.size(),
                     logarithmic_pools(experts, labels));
}

at::Tensor task_loss(Mode mode, const at::Tensor& fused, const at::Tensor& targets,
                     const LabelUnion& labels) {
  if (mode == Mode::kPaper) return at::cross_entropy_loss(fused, to_positions(targets, labels));
  const at::Tensor column = mode == Mode::kMasked ? to_positions(targets, labels) : targets;
  // A label that no selected expert knows must not make the loss infinite.
  return -fused.gather(1, column.unsqueeze(1)).clamp_min(std::log(kLeastProbability)).mean();
}

at::Tensor predict(Mode mode, const at::Tensor& fused, const LabelUnion& labels,
                   std::optional<int> space) {
  if (!space) {
    if (!is_task_agnostic(mode)) throw std::logic_error("this fusion has no task-agnostic answer");
    return fused.argmax(1);
  }
  const LabelUnion::Range range = labels.range(*space);
  const int64_t first = is_task_agnostic(mode) ? range.offset : 0;
  return fused.narrow(1, first, range.count).argmax(1) + range.offset;
}

}  // namespace moecollab::fusion
