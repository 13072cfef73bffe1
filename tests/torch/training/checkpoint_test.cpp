// Checkpoints, and runs that continue from them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "experts/in_process_expert.h"
#include "pipeline/instantiate.h"
#include "training/expert_trainer.h"
#include "unit/cluster/team_of_threads.h"

namespace moecollab::training {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

struct CheckpointTest : ::testing::Test {
  CheckpointState state(int64_t epoch) {
    return {{{"epoch", epoch}}, {{"w", at::full({2, 3}, static_cast<double>(epoch))}}};
  }
  std::string code_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code();
    }
    return "none";
  }
  TemporaryFolder temporary;
  fs::path folder = temporary.path() / "run";
};

TEST_F(CheckpointTest, TheNewestOfTwoIsRead) {
  {
    Checkpoints checkpoints(folder, "run", true);
    EXPECT_FALSE(checkpoints.load(Log()));
    for (const int64_t epoch : {1, 2, 3}) checkpoints.save(state(epoch));
  }
  Checkpoints checkpoints(folder, "run", true);
  const auto found = checkpoints.load(Log());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->facts["epoch"], 3);
  EXPECT_EQ(found->tensors.front().first, "w");
  EXPECT_TRUE(found->tensors.front().second.equal(at::full({2, 3}, 3.0)));
  checkpoints.save(state(4));
  EXPECT_EQ(checkpoints.load(Log())->facts["epoch"], 4);
}

TEST_F(CheckpointTest, ADamagedOneGivesWayToTheOneBefore) {
  CollectingLog said{Log()};
  Checkpoints checkpoints(folder, "run", true);
  checkpoints.save(state(1));  // slot 0
  checkpoints.save(state(2));  // slot 1
  const fs::path newest = folder / "1.safetensors";
  const std::string whole = read_file(newest, "E_TEST");
  for (const size_t at : {size_t{0}, whole.size() / 2, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write_file_atomic(newest, damaged);
    EXPECT_EQ(checkpoints.load(said.log())->facts["epoch"], 1) << at;
    write_file_atomic(newest, whole.substr(0, at));
    EXPECT_EQ(checkpoints.load(said.log())->facts["epoch"], 1) << at;
  }
  write_file_atomic(newest, whole);
  EXPECT_EQ(checkpoints.load(Log())->facts["epoch"], 2);
  EXPECT_EQ(said.texts().size(), 6U);
  EXPECT_THAT(said.texts().front(), HasSubstr("1.safetensors is damaged"));
}

TEST_F(CheckpointTest, AnotherRunsIsRefused) {
  Checkpoints(folder, "one", true).save(state(1));
  Checkpoints checkpoints(folder, "two", true);
  EXPECT_EQ(code_of([&] { checkpoints.load(Log()); }), "E_CKPT");
}

TEST_F(CheckpointTest, SettingsThatDifferAreNamed) {
  const std::string digest(64, 'a'), other = std::string(12, 'b') + std::string(52, 'a');
  const auto said_of = [](const Json& there, const Json& here) {
    try {
      require_same_run("run", there, here);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  const Json run = {{"recipe", {{"lr", 0.1}, {"epochs", 3}}}, {"data", {{"news", digest}}}};
  EXPECT_EQ(said_of(run, parse_json(to_line(run))), "none");
  Json changed = run;
  changed["recipe"]["lr"] = 0.2;
  EXPECT_THAT(said_of(run, changed), HasSubstr("differs from this one: recipe.lr is 0.1 there, 0.2 "
                                               "here"));
  changed["data"]["news"] = other;
  changed["data"]["law"] = digest;
  EXPECT_THAT(said_of(run, changed),
              HasSubstr("; data.news is aaaaaaaaaaaa there, bbbbbbbbbbbb "
                        "here; data.law is nothing there, aaaaaaaaaaaa here"));
  changed["threads"] = 2;
  EXPECT_THAT(said_of(run, changed), HasSubstr("; and 1 more"));
  EXPECT_THAT(said_of("digest", run), HasSubstr("of another version"));
}

// Killed before its first save, it must not find what another run left.
TEST_F(CheckpointTest, ARunThatStartsAnewHasAnEmptyFolder) {
  {
    Checkpoints other(folder, "one", false);
    for (const int64_t epoch : {1, 2}) other.save(state(epoch));
    fs::create_directories(folder / "package");
  }
  { const Checkpoints again(folder, "two", false); }
  EXPECT_FALSE(Checkpoints(folder, "two", true).load(Log()));
  EXPECT_FALSE(fs::exists(folder / "package"));
}

TEST_F(CheckpointTest, NothingIsLeftOfAFinishedRun) {
  Checkpoints checkpoints(folder, "run", false);
  checkpoints.save(state(1));
  fs::create_directories(temporary.path() / ".run" / "left by one killed");
  checkpoints.finish();
  EXPECT_TRUE(fs::is_empty(temporary.path()));
}

TEST_F(CheckpointTest, OneRunAtATime) {
  Checkpoints checkpoints(folder, "run", true);
  EXPECT_EQ(code_of([&] { Checkpoints second(folder, "run", true); }), "E_LOCK");
}

// --- Runs
constexpr int64_t kWidth = 12, kClasses = 3, kRows = 60;

struct ResumeTest : CheckpointTest {
  ResumeTest() {
    config.layers = 2;
    config.hidden = kWidth;
    config.heads = 2;
    config.intermediate = 8;
    config.activation = "gelu";
    const at::Tensor x =
        at::sin(at::arange(kRows * kWidth, at::kFloat).mul(1.7)).view({kRows, kWidth});
    data.features.pooled[{2, encoder::Pooling::kMean}] = x;
    data.features.texts.assign(kRows, "text");
    const at::Tensor labels = x.narrow(1, 0, kClasses).argmax(1);
    for (int64_t i = 0; i < kRows; ++i) {
      data.features.row_ids.push_back(i);
      data.labels.push_back(static_cast<int32_t>(labels[i].item<int64_t>()));
      data.folds.push_back(i % 5 == 0 ? 0 : -1);
    }
  }

  std::unique_ptr<experts::Expert> make(bool probabilities = false) {
    const std::string file = MOECOLLAB_PLUGIN_FOLDER "/adapter/libadapter.so";
    const std::string bytes = read_file(file, "E_TEST");
    experts::ExpertSetup setup;
    setup.name = "adapter";
    setup.classes = kClasses;
    setup.probabilities = probabilities;
    setup.inputs = MOEC_INPUT_POOLED;
    setup.pooling = encoder::Pooling::kMean;
    setup.layers = {2};
    setup.encoder = &config;
    setup.config = {{"bottleneck", 5}};
    return std::make_unique<experts::InProcessExpert>(
        experts::Library::load(bytes, sha256_hex(bytes), file, true), std::move(setup));
  }
  ExpertTrainingOptions options(bool resume) {
    ExpertTrainingOptions o;
    o.recipe = {.epochs = 8,
                .batch = 8,
                .schedule = {.lr = 1e-2, .warmup = 0.1, .linear_decay = true},
                .clip = 1.0,
                .seed = 4};
    o.patience = 8;
    o.checkpoints = folder;
    o.run = "run";
    o.resume = resume;
    return o;
  }
  void in_five_folds() {
    for (int64_t i = 0; i < kRows; ++i)
      data.folds[static_cast<size_t>(i)] = static_cast<int32_t>(i % 5);
  }
  // Stops in the step after `records` whole epochs, and continues; the answers of the end.
  at::Tensor interrupted_after(size_t records, TrainedExpert* out = nullptr) {
    const auto on_epoch = [&](const std::vector<EpochRecord>& history) {
      if (history.size() == records) stop = true;
    };
    EXPECT_EQ(code_of([&] {
                train_expert([&] { return make(); }, data, options(false), context, on_epoch);
              }),
              "E_INTERRUPTED");
    stop = false;
    TrainedExpert done = train_expert([&] { return make(); }, data, options(true), context);
    EXPECT_THAT(said.texts().back(), HasSubstr("continuing in phase"));
    const at::Tensor answers = done.expert->forward(data.features);
    const bool folded = done.held_out_rows.size() == static_cast<size_t>(kRows);
    EXPECT_EQ(done.history.size(), static_cast<size_t>(8 + (folded ? 5 : 1) * done.epochs));
    if (out != nullptr) out->held_out_logits = done.held_out_logits;
    done.checkpoints->finish();
    return answers;
  }

  encoder::BertConfig config;
  TrainingSet data;
  std::atomic<bool> stop = false;
  CollectingLog said{Log()};
  RunContext context{said.log(), StopToken(stop)};
};

TEST_F(ResumeTest, AnInterruptedRunEndsInTheSameBits) {
  ExpertTrainingOptions whole = options(false);
  whole.checkpoints.clear();
  TrainedExpert reference = train_expert([&] { return make(); }, data, whole, context);
  const at::Tensor expected = reference.expert->forward(data.features);
  // Within both phases: choosing (8 epochs) and refitting.
  for (const size_t records : {size_t{1}, size_t{5}, size_t{8}, size_t{9}}) {
    SCOPED_TRACE(records);
    EXPECT_TRUE(interrupted_after(records).equal(expected));
  }
}

// The answers of a fold are those of an expert that learnt the others for as many epochs.
TEST_F(ResumeTest, EachFoldIsAnsweredByAnExpertThatDidNotLearnIt) {
  in_five_folds();
  ExpertTrainingOptions whole = options(false);
  whole.checkpoints.clear();
  TrainedExpert trained = train_expert([&] { return make(); }, data, whole, context);
  ASSERT_EQ(trained.held_out_rows.size(), static_cast<size_t>(kRows));
  EXPECT_EQ(trained.held_out, kRows / 5);
  EXPECT_EQ(trained.history.size(), static_cast<size_t>(8 + 5 * trained.epochs));
  int64_t first = trained.held_out;
  for (int32_t fold = 1; fold < 5; ++fold) {
    std::vector<int64_t> inside, outside;
    for (int64_t row = 0; row < kRows; ++row)
      (data.folds[static_cast<size_t>(row)] == fold ? inside : outside).push_back(row);
    const auto expert = make();
    const auto learner = make_learner(*expert, whole.recipe, static_cast<int64_t>(outside.size()));
    for (int32_t epoch = 0; epoch < trained.epochs; ++epoch)
      learner->epoch(data, outside, epoch, [] {});
    const auto count = static_cast<int64_t>(inside.size());
    EXPECT_TRUE(trained.held_out_logits.narrow(0, first, count)
                    .equal(forward_rows(*expert, data.features, inside)))
        << fold;
    EXPECT_EQ(trained.held_out_rows[static_cast<size_t>(first)], inside[0]);
    first += count;
  }
}

// Only the first rank has the folder. After `stop_after` whole epochs, if there are so many, rank
// `who` is to stop; the answers of the end.
struct RanksResumeTest : ResumeTest {
  at::Tensor on_ranks(int size, bool resume, size_t stop_after, int who = 0) {
    cluster::MemoryNetwork network(size);
    std::vector<at::Tensor> answers(static_cast<size_t>(size));
    std::atomic<bool> stop_here = false, never = false;
    ends = cluster::run(network, [&](cluster::Team& team) {
      RunContext mine{team.leads() ? said.log() : Log(),
                      StopToken(team.rank() == who ? stop_here : never), nullptr, &team};
      ExpertTrainingOptions asked = options(resume);
      if (!team.leads()) asked.checkpoints = folder / "of another machine";
      const auto on_epoch = [&](const std::vector<EpochRecord>& history) {
        if (history.size() == stop_after) stop_here = true;
      };
      TrainedExpert done = train_expert([&] { return make(); }, data, asked, mine, on_epoch);
      answers[static_cast<size_t>(team.rank())] = done.expert->forward(data.features);
      team.finish();
    });
    for (const at::Tensor& other : answers) EXPECT_EQ(other.defined(), answers.front().defined());
    for (const at::Tensor& other : answers)
      EXPECT_TRUE(!other.defined() || other.equal(answers.front()));
    return answers.front();
  }

  std::vector<std::string> ends;
};

TEST_F(RanksResumeTest, ARunOfRanksContinuesOnAnotherNumberOfThem) {
  constexpr size_t kNever = 100;
  const at::Tensor expected = on_ranks(1, false, kNever);
  EXPECT_THAT(ends, Each(""));
  for (const int who : {0, 1}) {  // the second's end finds the first in an exchange
    const size_t records = who == 0 ? 5 : 9;
    SCOPED_TRACE(who);
    on_ranks(2, false, records, who);
    EXPECT_THAT(ends, Each(HasSubstr("training was interrupted")));
    EXPECT_TRUE(on_ranks(3, true, kNever).equal(expected));
    EXPECT_THAT(ends, Each(""));
    EXPECT_THAT(said.texts().back(), HasSubstr("continuing in phase"));
    EXPECT_FALSE(fs::exists(folder / "of another machine"));
  }
}

TEST_F(RanksResumeTest, WithoutACheckpointAllStartFromTheBeginning) {
  constexpr size_t kNever = 100;
  const at::Tensor expected = on_ranks(1, false, kNever);
  Checkpoints(folder, "run", true).finish();
  EXPECT_TRUE(on_ranks(2, true, kNever).equal(expected));
  EXPECT_THAT(ends, Each(""));
  EXPECT_THAT(said.texts().back(), HasSubstr("there is no checkpoint to continue from"));
}

TEST_F(ResumeTest, ARunInterruptedInAFoldEndsInTheSameBits) {
  in_five_folds();
  ExpertTrainingOptions whole = options(false);
  whole.checkpoints.clear();
  TrainedExpert reference = train_expert([&] { return make(); }, data, whole, context);
  const at::Tensor expected = reference.expert->forward(data.features);
  const auto epochs = static_cast<size_t>(reference.epochs);
  // At the begin and within the second fold, at the end of the last, and in the refit.
  for (const size_t records : {size_t{8}, 8 + epochs / 2, 8 + 4 * epochs, 8 + 5 * epochs - 1}) {
    SCOPED_TRACE(records);
    TrainedExpert done;
    EXPECT_TRUE(interrupted_after(records, &done).equal(expected));
    EXPECT_TRUE(done.held_out_logits.equal(reference.held_out_logits));
  }
}

// The loss is the cross-entropy of the shares, or of the label alone.
TEST_F(ResumeTest, SharesOfLabelsAreLearntInsteadOfTheLabels) {
  ExpertTrainingOptions o = options(false);
  o.checkpoints.clear();
  const auto answers = [&] {
    return train_expert([&] { return make(); }, data, o, context).expert->forward(data.features);
  };
  const at::Tensor by_label = answers();
  const at::Tensor labels =
      at::tensor(at::ArrayRef<int32_t>(data.labels.data(), data.labels.size())).to(at::kLong);
  data.targets = at::one_hot(labels, kClasses).to(at::kFloat);
  EXPECT_TRUE(answers().allclose(by_label, 1e-4, 1e-5)) << "the label alone, as shares";
  data.targets = at::full({kRows, kClasses}, 1.0 / kClasses);
  const at::Tensor nothing = at::softmax(answers(), 1);
  EXPECT_LT((nothing - 1.0 / kClasses).abs().max().item<double>(), 0.1);
  EXPECT_GT((at::softmax(by_label, 1) - 1.0 / kClasses).abs().max().item<double>(), 0.2);
}

TEST_F(ResumeTest, OtherOptionsAreRefused) {
  const auto on_epoch = [&](const std::vector<EpochRecord>&) { stop = true; };
  EXPECT_EQ(code_of([&] {
              train_expert([&] { return make(); }, data, options(false), context, on_epoch);
            }),
            "E_INTERRUPTED");
  stop = false;
  ExpertTrainingOptions other = options(true);
  other.run = "another";
  EXPECT_EQ(code_of([&] { train_expert([&] { return make(); }, data, other, context); }), "E_CKPT");
}

TEST_F(ResumeTest, StepsThatAreNotFiniteAreSkippedAndThenRefused) {
  data.features.pooled[{2, encoder::Pooling::kMean}].fill_(std::numeric_limits<float>::infinity());
  ExpertTrainingOptions o = options(false);
  o.checkpoints.clear();
  EXPECT_EQ(code_of([&] { train_expert([&] { return make(); }, data, o, context); }),
            "E_TRAIN_DIVERGED");
}

// o_e of an expert that answers with probabilities is ln p, in training and held out as everywhere.
TEST_F(ResumeTest, ProbabilitiesCountAsTheirLogarithms) {
  const auto expert = make(/*probabilities=*/true);
  expert->bind(3);
  const std::vector<int64_t> rows = {0, 7, 11};
  const at::Tensor p = expert->forward(data.features.select(rows));
  EXPECT_TRUE(forward_rows(*expert, data.features, rows).equal(p.clamp_min(1e-12).log()));
  // The adapter's outputs taken as probabilities: a step must lower the loss that it is judged by.
  ExpertTrainingOptions o = options(false);
  o.checkpoints.clear();
  const TrainedExpert trained = train_expert([&] { return make(true); }, data, o, context);
  const double last = trained.history[7].training.loss, first = trained.history[0].training.loss;
  EXPECT_LT(last, first);
  EXPECT_NEAR(*trained.history[7].held_out_loss, last, 0.5 * first);
}

// Row 3 (not held out) makes one of the six steps of an epoch infinite; the mean is of the others.
TEST_F(ResumeTest, TheLossOfSkippedStepsIsNotCountedAsZero) {
  ExpertTrainingOptions o = options(false);
  o.checkpoints.clear();
  o.recipe.schedule.lr = 1e-9;
  const auto first_epoch = [&] {
    return train_expert([&] { return make(); }, data, o, context).history[0].training;
  };
  const EpochFigures whole = first_epoch();
  data.features.pooled[{2, encoder::Pooling::kMean}][3].fill_(
      std::numeric_limits<float>::infinity());
  const EpochFigures without = first_epoch();
  EXPECT_EQ(whole.skipped, 0);
  EXPECT_EQ(without.skipped, 1);
  EXPECT_NEAR(without.loss, whole.loss, 0.1 * whole.loss);  // counted as zero: a sixth less
}

}  // namespace
}  // namespace moecollab::training
