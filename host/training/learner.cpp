#include "training/learner.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/shards.h"
#include "experts/autograd.h"
#include "training/adamw.h"
#include "training/shared_gradients.h"
#include "training/shuffle.h"
#include "training/step_guard.h"

namespace moecollab::training {
namespace {

constexpr size_t kStepsOfABucket = 16;

at::Tensor label_tensor(const TrainingSet& data, std::span<const int64_t> rows,
                        at::ScalarType type) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(rows.size())}, at::kInt);
  int32_t* out = tensor.mutable_data_ptr<int32_t>();
  for (const int64_t row : rows) *out++ = data.labels[static_cast<size_t>(row)];
  return tensor.to(type);
}

// Classes [b], or what is learnt instead of them [b, C].
at::Tensor target_tensor(const TrainingSet& data, const std::vector<int64_t>& rows) {
  if (!data.targets.defined()) return label_tensor(data, rows, at::kLong);
  return data.targets.index_select(0, encoder::index_tensor(rows));
}

at::Tensor weight_tensor(const TrainingSet& data, std::span<const int64_t> rows) {
  at::Tensor tensor = at::ones({static_cast<int64_t>(rows.size())});
  if (data.weights.empty()) return tensor;
  float* out = tensor.mutable_data_ptr<float>();
  for (const int64_t row : rows) *out++ = data.weights[static_cast<size_t>(row)];
  return tensor;
}

class GradientLearner final : public Learner {
 public:
  GradientLearner(experts::Expert& expert, const Recipe& recipe, int64_t rows, Ranks* ranks)
      : expert_(expert),
        recipe_(recipe),
        ranks_(ranks),
        steps_per_epoch_((rows + recipe.batch - 1) / recipe.batch),
        optimiser_(trainable(expert.bind(recipe.seed)), {.lr = recipe.schedule.lr}) {}

  EpochFigures epoch(const TrainingSet& data, const std::vector<int64_t>& rows, int32_t epoch,
                     const std::function<void()>& after_step) override {
    const std::vector<std::vector<int64_t>> steps = plan_steps(data, rows, recipe_, epoch);
    while (cursor_ < static_cast<int64_t>(steps.size())) {
      step(data, steps[static_cast<size_t>(cursor_)], epoch * steps_per_epoch_ + cursor_);
      ++cursor_;
      after_step();
    }
    EpochFigures figures = figures_;
    figures.loss /= static_cast<double>(rows_seen_);  // NaN if all steps were skipped
    cursor_ = rows_seen_ = 0;
    figures_ = {};
    return figures;
  }

  std::optional<CheckpointState> state() const override {
    if (!expert_.learns_parameters_only()) return std::nullopt;
    CheckpointState state;
    state.tensors = optimiser_.state();
    for (const auto& p : expert_.parameters())
      state.tensors.emplace_back("value/" + p.name, p.value);
    for (auto& [name, tensor] : state.tensors) tensor = tensor.to(encoder::kHost);
    state.facts = {{"cursor", cursor_},
                   {"steps", optimiser_.steps()},
                   {"rows", rows_seen_},
                   {"loss", figures_.loss},
                   {"tokens", figures_.tokens},
                   {"skipped", figures_.skipped},
                   {"skipped_in_a_row", guard_.in_a_row()}};
    return state;
  }

  void restore(const CheckpointState& saved) override {
    std::map<std::string, at::Tensor> by_name(saved.tensors.begin(), saved.tensors.end());
    std::vector<std::pair<std::string, at::Tensor>> now = optimiser_.state();
    for (const auto& p : expert_.parameters()) now.emplace_back("value/" + p.name, p.value);
    for (const auto& [name, tensor] : now) {
      const auto it = by_name.find(name);
      if (it == by_name.end() || it->second.sizes() != tensor.sizes()) {
        throw Error("E_CKPT",
                    fmt::format("the checkpoint's tensor {} is missing or has another shape", name),
                    "start again without --resume");
      }
      tensor.copy_(it->second);
    }
    expert_.params_changed();
    cursor_ = saved.facts["cursor"].get<int64_t>();
    rows_seen_ = saved.facts["rows"].get<int64_t>();
    optimiser_.set_steps(saved.facts["steps"].get<int64_t>());
    figures_ = {saved.facts["loss"].get<double>(), saved.facts["tokens"].get<int64_t>(),
                saved.facts["skipped"].get<int64_t>()};
    guard_.set_in_a_row(saved.facts["skipped_in_a_row"].get<int>());
  }

 private:
  static std::vector<AdamW::Parameter> trainable(
      const std::vector<experts::Expert::Parameter>& all) {
    std::vector<AdamW::Parameter> chosen;
    for (const auto& p : all) {
      if (p.trainable) chosen.push_back({p.value, p.grad, p.decay, p.lr_scale});
    }
    return chosen;
  }

  // [n], in the graph.
  at::Tensor losses(const TrainingSet& data, const std::vector<int64_t>& rows, uint64_t seed) {
    const at::Tensor logits = expert_.to_logits(
        experts::differentiable_forward(expert_, data.features.select(rows), seed));
    return at::cross_entropy_loss(logits, target_tensor(data, rows), {}, at::Reduction::None) *
           weight_tensor(data, rows);
  }

  uint64_t seed_of(int64_t number) const {
    return mixed(recipe_.seed, static_cast<uint64_t>(number));
  }

  // The step's loss; its gradients are then in the parameters.
  double add_gradients(const TrainingSet& data, const std::vector<int64_t>& rows, int64_t number) {
    const at::Tensor loss = losses(data, rows, seed_of(number)).mean();
    loss.backward();
    return loss.item<double>();
  }

  // The same as the sum over shards. Each has a seed of its own: an expert may draw by a row's
  // place in its batch, so that equal seeds would drop the same of every shard.
  double add_gradients_on_ranks(const TrainingSet& data, const std::vector<int64_t>& rows,
                                int64_t number) {
    std::vector<int32_t> lengths;
    for (const int64_t row : rows)
      lengths.push_back(static_cast<int32_t>(data.features.tokens(row)));
    const Shards shards = deal(lengths);
    const int64_t size = optimiser_.size() + 1;  // the last one is the loss
    ShardGradients own;
    for (const int shard : own_shards(*ranks_)) {
      std::vector<int64_t> part;
      for (const int64_t i : shards[static_cast<size_t>(shard)])
        part.push_back(rows[static_cast<size_t>(i)]);
      if (part.empty()) continue;
      const uint64_t seed = mixed(seed_of(number), static_cast<uint64_t>(shard));
      const at::Tensor loss = losses(data, part, seed).sum() / static_cast<double>(rows.size());
      loss.backward();
      own[static_cast<size_t>(shard)] =
          at::cat({optimiser_.gradients(), loss.detach().to(encoder::kHost).reshape({1})});
      optimiser_.zero_grad();
    }
    const at::Tensor sum = sum_on_ranks(
        *ranks_, fmt::format("gradients of step {}, rows {}", number + 1, digest_of(rows)), shards,
        size, std::move(own));
    optimiser_.set_gradients(sum);
    return sum[size - 1].item<double>();
  }

  void step(const TrainingSet& data, const std::vector<int64_t>& rows, int64_t number) {
    const double value = ranks_ == nullptr ? add_gradients(data, rows, number)
                                           : add_gradients_on_ranks(data, rows, number);
    for (const int64_t row : rows) figures_.tokens += data.features.tokens(row);
    const double norm = optimiser_.grad_norm();
    if (!std::isfinite(value) || !std::isfinite(norm)) return skip(number);
    guard_.taken();
    figures_.loss += value * static_cast<double>(rows.size());
    rows_seen_ += static_cast<int64_t>(rows.size());
    if (recipe_.clip > 0) optimiser_.clip(norm, recipe_.clip);
    optimiser_.set_lr(recipe_.schedule.at(number, steps_per_epoch_ * recipe_.epochs));
    optimiser_.step();
    expert_.params_changed();
  }

  void skip(int64_t number) {
    optimiser_.zero_grad();
    ++figures_.skipped;
    if (!guard_.skipped()) return;
    throw Error(
        "E_TRAIN_DIVERGED",
        fmt::format("expert {}: loss or gradient was not finite in {} steps in a row, the last "
                    "being step {}",
                    expert_.name(), guard_.in_a_row(), number + 1),
        "use a smaller --lr");
  }

  experts::Expert& expert_;
  Recipe recipe_;
  Ranks* ranks_;  // none: the whole step is this process's
  int64_t steps_per_epoch_;
  AdamW optimiser_;
  int64_t cursor_ = 0;     // steps done of the epoch at hand
  EpochFigures figures_;   // of these; the loss as a sum over rows
  int64_t rows_seen_ = 0;  // of steps that were not skipped
  StepGuard guard_;
};

class FitLearner final : public Learner {
 public:
  FitLearner(experts::SelfFitting& expert, const Recipe& recipe, int64_t rows)
      : expert_(expert), recipe_(recipe) {
    expert_.fit_begin(rows, recipe.epochs, recipe.seed);
  }

  EpochFigures epoch(const TrainingSet& data, const std::vector<int64_t>& rows, int32_t epoch,
                     const std::function<void()>& after_step) override {
    for (const std::vector<int64_t>& step : plan_steps(data, rows, recipe_, epoch)) {
      expert_.fit_batch(data.features.select(step), label_tensor(data, step, at::kInt),
                        weight_tensor(data, step));
      after_step();
    }
    wants_more_ = expert_.fit_epoch_end();
    return {std::numeric_limits<double>::quiet_NaN(), 0, 0};
  }
  bool wants_more() const override { return wants_more_; }
  void finish() override { expert_.fit_end(); }

 private:
  experts::SelfFitting& expert_;
  Recipe recipe_;
  bool wants_more_ = true;
};

}  // namespace

std::unique_ptr<Learner> make_learner(experts::Expert& expert, const Recipe& recipe, int64_t rows,
                                      Ranks* ranks) {
  if (expert.trainable()) return std::make_unique<GradientLearner>(expert, recipe, rows, ranks);
  if (experts::SelfFitting* self = expert.self_fitting())
    return std::make_unique<FitLearner>(*self, recipe, rows);
  throw Error("E_TRAIN_UNSUPPORTED",
              fmt::format("expert {} cannot be trained: it has neither moecollab.train/1 with "
                          "params/1 nor fit/1",
                          expert.name()),
              "install it as it is with `moecollab experts add`, or choose another --kind");
}

std::vector<std::vector<int64_t>> plan_steps(const TrainingSet& data,
                                             const std::vector<int64_t>& rows, const Recipe& recipe,
                                             int32_t epoch) {
  std::vector<int64_t> order;
  order.reserve(rows.size());
  for (const int64_t i : shuffled(static_cast<int64_t>(rows.size()), recipe.seed, epoch)) {
    order.push_back(rows[static_cast<size_t>(i)]);
  }
  const auto batch = static_cast<size_t>(recipe.batch);
  if (recipe.bucket) {
    for (size_t first = 0; first < order.size(); first += batch * kStepsOfABucket) {
      const size_t last = std::min(order.size(), first + batch * kStepsOfABucket);
      std::stable_sort(order.begin() + static_cast<ptrdiff_t>(first),
                       order.begin() + static_cast<ptrdiff_t>(last), [&](int64_t a, int64_t b) {
                         return data.features.tokens(a) < data.features.tokens(b);
                       });
    }
  }
  std::vector<std::vector<int64_t>> steps;
  for (size_t first = 0; first < order.size(); first += batch) {
    steps.emplace_back(
        order.begin() + static_cast<ptrdiff_t>(first),
        order.begin() + static_cast<ptrdiff_t>(std::min(order.size(), first + batch)));
  }
  if (!recipe.bucket) return steps;
  std::vector<std::vector<int64_t>> mixed_steps;
  for (const int64_t i : shuffled(static_cast<int64_t>(steps.size()), ~recipe.seed, epoch)) {
    mixed_steps.push_back(std::move(steps[static_cast<size_t>(i)]));
  }
  return mixed_steps;
}

}  // namespace moecollab::training
