#include "training/expert_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/error.h"
#include "base/measure.h"
#include "pipeline/shared_answers.h"

namespace moecollab::training {
namespace {

constexpr const char* kContinue = "continue with the same command and --resume";

constexpr int64_t kForwardBatch = 1024;
constexpr const char* kHeldOut = "held_out_logits";
constexpr const char* kFoldLogits = "fold_logits";

at::Tensor targets_of(const TrainingSet& data, const std::vector<int64_t>& rows) {
  std::vector<int64_t> targets;
  for (const int64_t row : rows) targets.push_back(data.labels[static_cast<size_t>(row)]);
  return encoder::index_tensor(targets);
}

EpochRecord record_of(const Json& json) {
  EpochRecord r;
  r.phase = json["phase"].get<std::string>();
  r.epoch = json["epoch"].get<int32_t>();
  r.precision = parse_precision(json["precision"].get<std::string>(), "the checkpoint's precision");
  const Json& loss = json["train_loss"];
  r.training.loss = loss.is_null() ? std::numeric_limits<double>::quiet_NaN() : loss.get<double>();
  r.training.tokens = json["tokens"].get<int64_t>();
  r.training.skipped = json["skipped_steps"].get<int64_t>();
  if (!json["held_out_loss"].is_null()) r.held_out_loss = json["held_out_loss"].get<double>();
  if (!json["held_out_accuracy"].is_null()) {
    r.held_out_accuracy = json["held_out_accuracy"].get<double>();
  }
  r.seconds = json["seconds"].get<double>();
  r.peak_rss_bytes = json["peak_rss_bytes"].get<int64_t>();
  return r;
}

// One run: what was found so far, and where it is kept.
class Run {
 public:
  Run(const MakeExpert& make, const TrainingSet& data, const ExpertTrainingOptions& options,
      const RunContext& context,
      const std::function<void(const std::vector<EpochRecord>&)>& on_epoch)
      : make_(make), data_(data), options_(options), context_(context), on_epoch_(on_epoch) {
    folds_.resize(1);
    for (int64_t row = 0; row < data.features.rows(); ++row) {
      const int32_t fold = data.folds[static_cast<size_t>(row)];
      if (fold < 0) continue;
      folds_.resize(std::max(folds_.size(), static_cast<size_t>(fold) + 1));
      folds_[static_cast<size_t>(fold)].push_back(row);
    }
    chosen_ = options.recipe.epochs;
    if (options.checkpoints.empty()) return;
    if (leads(context.ranks))
      checkpoints_ =
          std::make_unique<Checkpoints>(options.checkpoints, options.run, options.resume);
    if (options.resume) resume();
  }

  TrainedExpert run() {
    std::unique_ptr<experts::Expert> expert;
    if (!folds_[0].empty() && phase_ == "choose") {
      expert = make_();
      choose(*expert);
      // The epoch before the last is over: it is run again, which equal seeds make identical.
      const bool done = !options_.refit && chosen_ == history_.back().epoch && folds_.size() == 1;
      if (!done) expert.reset();
    }
    cross_fit();
    if (!expert) {
      phase_ = "refit";
      expert = make_();
      train(*expert, options_.refit ? rows_outside({}) : rows_outside(folds_[0]));
    }
    TrainedExpert trained{.expert = std::move(expert),
                          .epochs = chosen_,
                          .history = std::move(history_),
                          .held_out_rows = {},
                          .held_out_logits = held_out_logits_,
                          .held_out = static_cast<int64_t>(folds_[0].size()),
                          .checkpoints = std::move(checkpoints_)};
    for (const std::vector<int64_t>& fold : folds_)
      trained.held_out_rows.insert(trained.held_out_rows.end(), fold.begin(), fold.end());
    if (fold_logits_.defined()) trained.held_out_logits = at::cat({held_out_logits_, fold_logits_});
    return trained;
  }

 private:
  // The others, ascending. rows: ascending.
  std::vector<int64_t> rows_outside(const std::vector<int64_t>& rows) const {
    std::vector<int64_t> others;
    for (int64_t row = 0; row < data_.features.rows(); ++row) {
      if (!std::ranges::binary_search(rows, row)) others.push_back(row);
    }
    return others;
  }

  void resume() {
    if (checkpoints_) saved_ = checkpoints_->load(context_.log);
    if (context_.ranks != nullptr) saved_ = share_checkpoint(*context_.ranks, saved_);
    if (!saved_) {
      context_.log.note(
          "there is no checkpoint to continue from: training starts from the beginning");
      return;
    }
    phase_ = saved_->facts["phase"].get<std::string>();
    chosen_ = saved_->facts["chosen"].get<int32_t>();
    fold_ = saved_->facts.value("fold", fold_);
    history_ = history_from_json(saved_->facts["history"]);
    for (const auto& [name, tensor] : saved_->tensors) {
      if (name == kHeldOut) held_out_logits_ = tensor;
      if (name == kFoldLogits) fold_logits_ = tensor;
    }
    context_.log.note(fmt::format("continuing in phase {}, epoch {}", phase_,
                                  saved_->facts["epoch"].get<int32_t>() + 1));
  }

  // Restores the learner if the checkpoint is of this phase; the epochs that are done.
  int32_t restore(Learner& learner) {
    if (!saved_) return 0;
    const CheckpointState saved = *std::exchange(saved_, std::nullopt);
    learner.restore(saved);
    seconds_before_ = saved.facts["seconds"].get<double>();
    return saved.facts["epoch"].get<int32_t>();
  }

  // Whether there is a checkpoint now: some experts cannot say where they are.
  bool save(const Learner& learner, int32_t epochs_done) {
    if (!checkpoints_) return false;
    std::optional<CheckpointState> state = learner.state();
    if (!state) return false;
    if (held_out_logits_.defined())
      state->tensors.emplace_back(kHeldOut, held_out_logits_.contiguous());
    if (fold_logits_.defined()) state->tensors.emplace_back(kFoldLogits, fold_logits_);
    state->facts.update({{"phase", phase_},
                         {"chosen", chosen_},
                         {"fold", fold_},
                         {"epoch", epochs_done},
                         {"seconds", seconds_before_ + epoch_watch_.seconds()},
                         {"history", to_json(history_)}});
    checkpoints_->save(*state);
    last_save_.restart();
    return true;
  }

  // Between two steps of the epoch after `epochs_done`.
  void after_step(const Learner& learner, int32_t epochs_done) {
    if (context_.stop.requested()) {
      // On ranks steps_of() saves, and says how to continue.
      const bool kept = context_.ranks == nullptr && save(learner, epochs_done);
      throw Error("E_INTERRUPTED", "training was interrupted; nothing was installed",
                  kept ? kContinue : "");
    }
    if (last_save_.seconds() >= options_.checkpoint_seconds) save(learner, epochs_done);
  }

  EpochFigures steps_of(Learner& learner, const std::vector<int64_t>& rows, int32_t number) {
    try {
      return learner.epoch(data_, rows, number, [&] { after_step(learner, number); });
    } catch (const Error& error) {
      // What ends ranks mostly finds them in an exchange, within a step that none has taken.
      const bool between_steps = error.code() == "E_INTERRUPTED" || error.code() == "E_DIST";
      if (context_.ranks == nullptr || !between_steps) throw;
      if (!save(learner, number)) throw;
      throw Error(error.code(), error.what(),
                  error.hint().empty()
                      ? kContinue
                      : error.hint() + "; what was learnt is kept: --resume continues");
    }
  }

  EpochRecord epoch(Learner& learner, const std::vector<int64_t>& rows, int32_t number) {
    epoch_watch_.restart();
    EpochRecord record;
    record.phase = phase_;
    record.epoch = number + 1;
    record.precision = options_.recipe.precision;
    record.training = steps_of(learner, rows, number);
    record.seconds = std::exchange(seconds_before_, 0.0) + epoch_watch_.seconds();
    record.peak_rss_bytes = peak_rss_bytes();
    return record;
  }

  void keep(EpochRecord record) {
    history_.push_back(std::move(record));
    if (on_epoch_ && leads(context_.ranks)) on_epoch_(history_);
  }

  bool is_better(const EpochRecord& record, const EpochRecord& best) const {
    if (options_.recipe.schedule.linear_decay)
      return *record.held_out_accuracy >= *best.held_out_accuracy;
    return *record.held_out_loss < *best.held_out_loss;
  }

  // forward_rows(); ranks share them, so that all judge the same numbers.
  at::Tensor answers(experts::Expert& expert, const std::vector<int64_t>& rows) const {
    if (context_.ranks == nullptr) return forward_rows(expert, data_.features, rows);
    return pipeline::share_answers(*context_.ranks, expert.name(), expert.classes(), rows,
                                   [&](const std::vector<int64_t>& part) {
                                     return forward_rows(expert, data_.features, part);
                                   });
  }

  void choose(experts::Expert& expert) {
    const std::vector<int64_t>&held_out = folds_[0], train = rows_outside(held_out);
    const auto learner =
        make_learner(expert, options_.recipe, static_cast<int64_t>(train.size()), context_.ranks);
    const int32_t epochs = options_.recipe.epochs;
    const at::Tensor targets = targets_of(data_, held_out);
    std::optional<EpochRecord> best;
    for (const EpochRecord& r : history_) {
      if (r.held_out_loss && std::isfinite(*r.held_out_loss) && (!best || is_better(r, *best)))
        best = r;
    }
    int32_t number = restore(*learner);
    Progress progress = context_.progress("epochs", "epoch", epochs, number);
    for (; number < epochs && learner->wants_more(); ++number) {
      if (best && number - best->epoch >= options_.patience) break;
      EpochRecord record = epoch(*learner, train, number);
      const at::Tensor logits = answers(expert, held_out);
      record.held_out_loss = at::cross_entropy_loss(logits, targets).item<double>();
      record.held_out_accuracy = logits.argmax(1).eq(targets).to(at::kDouble).mean().item<double>();
      progress.advance(1, fmt::format("held-out loss {:.4f}, accuracy {:.4f}",
                                      *record.held_out_loss, *record.held_out_accuracy));
      if (std::isfinite(*record.held_out_loss) && (!best || is_better(record, *best))) {
        best = record;
        chosen_ = record.epoch;
        held_out_logits_ = logits;
      }
      keep(std::move(record));
    }
    if (!best) {
      throw Error("E_TRAIN_DIVERGED",
                  fmt::format("expert {}: no epoch had a finite held-out loss", expert.name()),
                  "use a smaller --lr");
    }
    learner->finish();
  }

  // An expert for each further fold that learns from all other texts and answers the fold's.
  void cross_fit() {
    for (; fold_ < folds_.size(); ++fold_) {
      const std::vector<int64_t>& fold = folds_[fold_];
      if (fold.empty()) continue;
      phase_ = fmt::format("fold {}", fold_ + 1);
      const auto expert = make_();
      train(*expert, rows_outside(fold));
      const at::Tensor logits = answers(*expert, fold);
      fold_logits_ = fold_logits_.defined() ? at::cat({fold_logits_, logits}) : logits.contiguous();
    }
  }

  void train(experts::Expert& expert, const std::vector<int64_t>& rows) {
    const auto learner =
        make_learner(expert, options_.recipe, static_cast<int64_t>(rows.size()), context_.ranks);
    int32_t number = restore(*learner);
    Progress progress = context_.progress(phase_, "epoch", chosen_, number);
    for (; number < chosen_; ++number) {
      EpochRecord record = epoch(*learner, rows, number);
      if (std::isinf(record.training.loss)) {
        throw Error(
            "E_TRAIN_DIVERGED",
            fmt::format("expert {}: the loss of epoch {} is not finite", expert.name(), number + 1),
            "use a smaller --lr");
      }
      keep(std::move(record));
      progress.advance();
    }
    learner->finish();
  }

  const MakeExpert& make_;
  const TrainingSet& data_;
  const ExpertTrainingOptions& options_;
  const RunContext& context_;
  const std::function<void(const std::vector<EpochRecord>&)>& on_epoch_;
  std::vector<std::vector<int64_t>> folds_;  // rows, ascending; 0: the held-out ones
  std::string phase_ = "choose";
  size_t fold_ = 1;  // the next to be answered
  int32_t chosen_ = 0;
  std::vector<EpochRecord> history_;
  at::Tensor held_out_logits_, fold_logits_;  // of the folds before fold_
  std::unique_ptr<Checkpoints> checkpoints_;
  std::optional<CheckpointState> saved_;
  Stopwatch last_save_, epoch_watch_;
  double seconds_before_ = 0;  // of this epoch, in the run that was interrupted
};

}  // namespace

Json to_json(const EpochRecord& r) {
  const auto number = [](const std::optional<double>& value) {
    return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
  };
  return {{"phase", r.phase},
          {"epoch", r.epoch},
          {"precision", name(r.precision)},
          {"train_loss", number(r.training.loss)},
          {"held_out_loss", number(r.held_out_loss)},
          {"held_out_accuracy", number(r.held_out_accuracy)},
          {"seconds", r.seconds},
          {"tokens", r.training.tokens},
          {"skipped_steps", r.training.skipped},
          {"peak_rss_bytes", r.peak_rss_bytes}};
}

Json to_json(const std::vector<EpochRecord>& history) {
  Json list = Json::array();
  for (const EpochRecord& record : history) list.push_back(to_json(record));
  return list;
}

std::vector<EpochRecord> history_from_json(const Json& list) {
  std::vector<EpochRecord> history;
  for (const Json& record : list) history.push_back(record_of(record));
  return history;
}

at::Tensor forward_rows(experts::Expert& expert, const encoder::Features& features,
                        const std::vector<int64_t>& rows) {
  std::vector<at::Tensor> parts;
  for (size_t first = 0; first < rows.size(); first += kForwardBatch) {
    const size_t count = std::min<size_t>(kForwardBatch, rows.size() - first);
    parts.push_back(
        expert.to_logits(expert.forward(features.select({rows.data() + first, count}))));
  }
  return at::cat(parts);
}

void validate(const ExpertTrainingOptions& options) {
  const auto refuse = [](const char* option, auto value, const char* expected) {
    throw Error("E_CONFIG", fmt::format("--{} is {}, expected {}", option, value, expected));
  };
  const Recipe& r = options.recipe;
  if (r.epochs < 1 || r.epochs > 100'000) refuse("epochs", r.epochs, "1 to 100000");
  if (!(r.schedule.lr > 0) || !std::isfinite(r.schedule.lr))
    refuse("lr", r.schedule.lr, "a number > 0");
  if (r.batch < 1) refuse("batch", r.batch, "at least 1");
  if (!(r.schedule.warmup >= 0 && r.schedule.warmup < 1)) {
    refuse("warmup", r.schedule.warmup, "a share of the steps, 0 or more and below 1");
  }
  if (!(r.clip >= 0) || !std::isfinite(r.clip)) refuse("clip", r.clip, "a norm, or 0 for none");
  if (options.patience < 1) refuse("patience", options.patience, "at least 1");
}

TrainedExpert train_expert(const MakeExpert& make, const TrainingSet& data,
                           const ExpertTrainingOptions& options, const RunContext& context,
                           const std::function<void(const std::vector<EpochRecord>&)>& on_epoch) {
  validate(options);
  return Run(make, data, options, context, on_epoch).run();
}

}  // namespace moecollab::training
