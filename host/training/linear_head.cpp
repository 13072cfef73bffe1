#include "training/linear_head.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "training/adamw.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

at::Tensor loss_of(const gate::Gate& linear, const HeadData& data, const at::Tensor& rows) {
  return at::cross_entropy_loss(linear.router_logits(data.z.index_select(0, rows)),
                                data.targets.index_select(0, rows));
}

// A head being fitted on some rows of the data.
class Fitting {
 public:
  Fitting(const HeadData& data, const std::vector<encoder::PooledKey>& features, int64_t labels,
          const HeadTrainingOptions& options, std::vector<int64_t> rows, StopToken stop)
      : data_(data),
        options_(options),
        stop_(stop),
        rows_(std::move(rows)),
        linear_(gate::make_gate(features, data.z.index_select(0, encoder::index_tensor(rows_)),
                                labels)),
        optimiser_(parameters(), {.lr = options.lr, .weight_decay = options.weight_decay}) {}

  void epoch() {
    const auto n = static_cast<int64_t>(rows_.size());
    std::vector<int64_t> order;
    for (const int64_t i : shuffled(n, options_.seed, epoch_++))
      order.push_back(rows_[static_cast<size_t>(i)]);
    double sum = 0;
    for (int64_t first = 0; first < n; first += options_.batch) {
      const int64_t count = std::min(options_.batch, n - first);
      const at::Tensor loss =
          loss_of(linear_, data_,
                  encoder::index_tensor({order.data() + first, static_cast<size_t>(count)}));
      loss.backward();
      optimiser_.step();
      sum += loss.item<double>() * static_cast<double>(count);
    }
    stop_.throw_if_requested("training was interrupted; nothing was written");
    if (!std::isfinite(sum)) {
      throw Error("E_TRAIN_DIVERGED",
                  fmt::format("the head's loss is not finite in epoch {}", epoch_),
                  "use a smaller --lr");
    }
  }

  const gate::Gate& linear() const { return linear_; }
  gate::Gate take() {
    linear_.weight = linear_.weight.detach();
    linear_.bias = linear_.bias.detach();
    return std::move(linear_);
  }

 private:
  std::vector<AdamW::Parameter> parameters() {
    std::vector<AdamW::Parameter> result;
    for (at::Tensor* tensor : {&linear_.weight, &linear_.bias}) {
      tensor->requires_grad_(true);
      tensor->mutable_grad() = at::zeros_like(*tensor);
      result.push_back({*tensor, tensor->mutable_grad(), tensor == &linear_.weight});
    }
    return result;
  }

  const HeadData& data_;
  const HeadTrainingOptions& options_;
  StopToken stop_;
  std::vector<int64_t> rows_;
  gate::Gate linear_;
  AdamW optimiser_;
  int64_t epoch_ = 0;
};

// Epochs with the lowest held-out loss, and the figures then.
void choose_epochs(Fitting& fitting, const HeadData& data, const at::Tensor& held_out,
                   const HeadTrainingOptions& options, const RunContext& context, HeadFit& fit) {
  fit.held_out_loss = std::numeric_limits<double>::infinity();
  const at::Tensor targets = data.targets.index_select(0, held_out);
  Progress progress = context.progress("choosing the epochs", "epoch", options.epochs);
  for (int32_t epoch = 1; epoch <= options.epochs; ++epoch) {
    fitting.epoch();
    const at::NoGradGuard no_grad;
    const at::Tensor logits = fitting.linear().router_logits(data.z.index_select(0, held_out));
    const auto loss = at::cross_entropy_loss(logits, targets).item<double>();
    if (loss < fit.held_out_loss) {
      fit.held_out_loss = loss;
      fit.held_out_accuracy = logits.argmax(1).eq(targets).to(at::kDouble).mean().item<double>();
      fit.epochs = epoch;
    } else if (epoch - fit.epochs >= options.patience) {
      break;
    }
    progress.advance(1, fmt::format("held-out loss {:.4f}", fit.held_out_loss));
  }
}

}  // namespace

void validate(const HeadTrainingOptions& options) {
  const auto refuse = [](const char* option, auto value, const char* expected) {
    throw Error("E_CONFIG", fmt::format("--{} is {}, expected {}", option, value, expected));
  };
  if (options.epochs < 1 || options.epochs > 100'000)
    refuse("epochs", options.epochs, "1 to 100000");
  if (!(options.lr > 0) || !std::isfinite(options.lr)) refuse("lr", options.lr, "a number > 0");
  if (!(options.weight_decay >= 0) || !std::isfinite(options.weight_decay))
    refuse("weight-decay", options.weight_decay, "a number >= 0");
  if (options.batch < 1) refuse("batch", options.batch, "at least 1");
}

HeadFit fit_head(const HeadData& data, const std::vector<encoder::PooledKey>& features,
                 int64_t labels, const HeadTrainingOptions& options, const RunContext& context) {
  validate(options);
  std::vector<int64_t> all, train, held_out;
  for (int64_t row = 0; row < data.z.size(0); ++row) {
    all.push_back(row);
    (data.held_out[static_cast<size_t>(row)] ? held_out : train).push_back(row);
  }
  HeadFit fit;
  fit.texts = data.z.size(0);
  fit.epochs = options.epochs;
  fit.held_out_loss = fit.held_out_accuracy = std::numeric_limits<double>::quiet_NaN();
  if (!held_out.empty() && !train.empty()) {
    Fitting fitting(data, features, labels, options, std::move(train), context.stop);
    choose_epochs(fitting, data, encoder::index_tensor(held_out), options, context, fit);
  }
  Fitting fitting(data, features, labels, options, std::move(all), context.stop);
  Progress progress = context.progress("fitting the head", "epoch", fit.epochs);
  for (int32_t epoch = 0; epoch < fit.epochs; ++epoch) {
    fitting.epoch();
    progress.advance();
  }
  fit.linear = fitting.take();
  return fit;
}

}  // namespace moecollab::training
