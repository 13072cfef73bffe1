#include "training/expert_trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <memory>

#include "base/console.h"
#include "base/error.h"
#include "experts/autograd.h"
#include "experts/host_services.h"
#include "training/adamw.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

constexpr int64_t kForwardBatch = 1024;

at::Tensor label_tensor(const std::vector<int32_t>& labels, std::span<const int64_t> rows,
                        at::ScalarType type) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(rows.size())}, at::kInt);
  int32_t* data = tensor.mutable_data_ptr<int32_t>();
  for (size_t i = 0; i < rows.size(); ++i) data[i] = labels[static_cast<size_t>(rows[i])];
  return tensor.to(type);
}

// One way of training: an epoch over the given order of rows, its mean loss returned (NaN:
// unknown).
class Learner {
 public:
  virtual ~Learner() = default;
  virtual double epoch(const TrainingSet& data, const std::vector<int64_t>& order) = 0;
  virtual bool wants_more() const { return true; }
  virtual void finish() {}
};

class GradientLearner final : public Learner {
 public:
  GradientLearner(experts::Expert& expert, const ExpertTrainingOptions& options)
      : expert_(expert),
        batch_(options.batch),
        optimiser_(parameters(expert, options.seed), {.lr = options.lr}) {}

  double epoch(const TrainingSet& data, const std::vector<int64_t>& order) override {
    double sum = 0;
    for (size_t first = 0; first < order.size(); first += static_cast<size_t>(batch_)) {
      const std::span rows(order.data() + first,
                           std::min(static_cast<size_t>(batch_), order.size() - first));
      const at::Tensor logits =
          experts::differentiable_forward(expert_, data.features.select(rows));
      const at::Tensor loss =
          at::cross_entropy_loss(logits, label_tensor(data.labels, rows, at::kLong));
      sum += loss.item<double>() * static_cast<double>(rows.size());
      loss.backward();
      optimiser_.step();
      expert_.params_changed();
    }
    return sum / static_cast<double>(order.size());
  }

 private:
  static std::vector<AdamW::Parameter> parameters(experts::Expert& expert, uint64_t seed) {
    std::vector<AdamW::Parameter> trainable;
    for (const auto& p : expert.bind(seed)) {
      if (p.trainable) trainable.push_back({p.value, p.grad, p.decay});
    }
    return trainable;
  }

  experts::Expert& expert_;
  int64_t batch_;
  AdamW optimiser_;
};

class FitLearner final : public Learner {
 public:
  FitLearner(experts::Expert& expert, const ExpertTrainingOptions& options, int64_t rows)
      : expert_(expert), batch_(options.batch) {
    expert_.fit_begin(rows, options.epochs, options.seed);
  }

  double epoch(const TrainingSet& data, const std::vector<int64_t>& order) override {
    for (size_t first = 0; first < order.size(); first += static_cast<size_t>(batch_)) {
      const std::span rows(order.data() + first,
                           std::min(static_cast<size_t>(batch_), order.size() - first));
      const auto n = static_cast<int64_t>(rows.size());
      expert_.fit_batch(data.features.select(rows), label_tensor(data.labels, rows, at::kInt),
                        at::ones({n}));
    }
    wants_more_ = expert_.fit_epoch_end();
    return std::numeric_limits<double>::quiet_NaN();
  }
  bool wants_more() const override { return wants_more_; }
  void finish() override { expert_.fit_end(); }

 private:
  experts::Expert& expert_;
  int64_t batch_;
  bool wants_more_ = true;
};

std::unique_ptr<Learner> make_learner(experts::Expert& expert, const ExpertTrainingOptions& options,
                                      int64_t rows) {
  if (expert.trainable()) return std::make_unique<GradientLearner>(expert, options);
  if (expert.fits_itself()) return std::make_unique<FitLearner>(expert, options, rows);
  throw Error(
      "E_TRAIN_UNSUPPORTED",
      fmt::format(
          "expert {} cannot be trained: it has neither moecollab.train/1 with params/1 nor fit/1",
          expert.name()),
      "install it as it is with `moecollab experts add`, or choose another --kind");
}

// Logits of the rows, in their order.
at::Tensor forward_rows(experts::Expert& expert, const encoder::Features& features,
                        const std::vector<int64_t>& rows) {
  std::vector<at::Tensor> parts;
  for (size_t first = 0; first < rows.size(); first += kForwardBatch) {
    const size_t count = std::min<size_t>(kForwardBatch, rows.size() - first);
    parts.push_back(expert.forward(features.select({rows.data() + first, count})));
  }
  return at::cat(parts);
}

std::vector<int64_t> permuted(const std::vector<int64_t>& rows, uint64_t seed, int32_t epoch) {
  std::vector<int64_t> order;
  order.reserve(rows.size());
  for (const int64_t i : shuffled(static_cast<int64_t>(rows.size()), seed, epoch))
    order.push_back(rows[static_cast<size_t>(i)]);
  return order;
}

void check_progress(double loss, int32_t epoch, const std::string& name) {
  if (experts::stop_requested())
    throw Error("E_INTERRUPTED", "training was interrupted; nothing was installed");
  if (std::isinf(loss)) {
    throw Error("E_TRAIN_DIVERGED",
                fmt::format("expert {}: the loss of epoch {} is not finite", name, epoch + 1),
                "use a smaller --lr");
  }
}

// The epoch count with the lowest held-out loss, and the logits then.
void choose_epochs(const TrainingSet& data, const std::vector<int64_t>& train,
                   const ExpertTrainingOptions& options, TrainedExpert& out) {
  const auto learner = make_learner(out.expert, options, static_cast<int64_t>(train.size()));
  const at::Tensor targets = label_tensor(data.labels, out.held_out_rows, at::kLong);
  double best = std::numeric_limits<double>::infinity();
  Progress progress("epochs", options.epochs, "epochs");
  for (int32_t epoch = 0; epoch < options.epochs; ++epoch) {
    const double train_loss = learner->epoch(data, permuted(train, options.seed, epoch));
    const at::Tensor logits = forward_rows(out.expert, data.features, out.held_out_rows);
    const auto loss = at::cross_entropy_loss(logits, targets).item<double>();
    const auto accuracy = logits.argmax(1).eq(targets).to(at::kDouble).mean().item<double>();
    check_progress(loss, epoch, out.expert.name());
    out.history.push_back({epoch + 1, train_loss, loss, accuracy});
    progress.advance(1, fmt::format("held-out loss {:.4f}, accuracy {:.4f}", loss, accuracy));
    if (loss < best) {
      best = loss;
      out.epochs = epoch + 1;
      out.held_out_logits = logits;
    }
    if (!learner->wants_more() || epoch + 1 - out.epochs >= options.patience) break;
  }
  if (!out.held_out_logits.defined()) {
    throw Error("E_TRAIN_DIVERGED",
                fmt::format("expert {}: no epoch had a finite held-out loss", out.expert.name()),
                "use a smaller --lr");
  }
  learner->finish();
}

void train_on(experts::Expert& expert, const TrainingSet& data, const std::vector<int64_t>& rows,
              int32_t epochs, const ExpertTrainingOptions& options) {
  const auto learner = make_learner(expert, options, static_cast<int64_t>(rows.size()));
  Progress progress("refit", epochs, "epochs");
  for (int32_t epoch = 0; epoch < epochs; ++epoch) {
    check_progress(learner->epoch(data, permuted(rows, options.seed, epoch)), epoch, expert.name());
    progress.advance();
  }
  learner->finish();
}

}  // namespace

void validate(const ExpertTrainingOptions& options) {
  const auto refuse = [](const char* option, auto value, const char* expected) {
    throw Error("E_CONFIG", fmt::format("--{} is {}, expected {}", option, value, expected));
  };
  if (options.epochs < 1 || options.epochs > 100'000)
    refuse("epochs", options.epochs, "1 to 100000");
  if (!(options.lr > 0) || !std::isfinite(options.lr)) refuse("lr", options.lr, "a number > 0");
  if (options.batch < 1) refuse("batch", options.batch, "at least 1");
}

TrainedExpert train_expert(const std::function<experts::Expert()>& make, const TrainingSet& data,
                           const ExpertTrainingOptions& options) {
  validate(options);
  TrainedExpert out{make(), options.epochs, {}, {}, {}};
  std::vector<int64_t> all, train;
  for (int64_t row = 0; row < data.features.rows(); ++row) {
    all.push_back(row);
    (data.held_out[static_cast<size_t>(row)] ? out.held_out_rows : train).push_back(row);
  }
  if (out.held_out_rows.empty()) {
    train_on(out.expert, data, all, options.epochs, options);
    return out;
  }
  choose_epochs(data, train, options, out);
  if (options.refit) {
    TrainedExpert refitted{make(), out.epochs, std::move(out.history), std::move(out.held_out_rows),
                           out.held_out_logits};
    train_on(refitted.expert, data, all, out.epochs, options);
    return refitted;
  }
  if (out.epochs != static_cast<int32_t>(out.history.size())) {
    // The best epoch is behind us: run it again, which equal seeds make bit-identical.
    TrainedExpert again{make(), out.epochs, std::move(out.history), std::move(out.held_out_rows),
                        out.held_out_logits};
    train_on(again.expert, data, train, out.epochs, options);
    return again;
  }
  return out;
}

}  // namespace moecollab::training
