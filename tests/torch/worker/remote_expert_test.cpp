// An expert of another process behind experts::Expert: pipeline and training use it unchanged, and
// get the bits that an expert of this process gives.
#include "worker/remote_expert.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "experts/autograd.h"
#include "experts/in_process_expert.h"
#include "pipeline/collaboration.h"
#include "torch/tiny_encoder.h"
#include "torch/toy_registry.h"
#include "training/expert_trainer.h"

namespace moecollab::worker {
namespace {

using experts::Expert;
using experts::ExpertSetup;
using experts::InProcessExpert;
using experts::Library;
using ::testing::HasSubstr;
using Weights = std::vector<std::pair<std::string, at::Tensor>>;

const fs::path kLibrary = fs::path(MOECOLLAB_PLUGIN_FOLDER) / "adapter" / "libadapter.so";

void expect_equal(const Weights& seen, const Weights& expected) {
  ASSERT_EQ(seen.size(), expected.size());
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].first, expected[i].first);
    EXPECT_TRUE(seen[i].second.equal(expected[i].second)) << seen[i].first;
  }
}

// What is thrown, as "CODE: message".
std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code() + ": " + error.what();
  }
  return "none";
}

// Adapters on the last layer of a tiny encoder.
struct WorkerExpertTest : ::testing::Test {
  ExpertSetup adapter_setup(Weights weights) {
    ExpertSetup setup;
    setup.name = "films";
    setup.classes = 2;
    setup.inputs = MOEC_INPUT_POOLED;
    setup.pooling = encoder::Pooling::kMean;
    setup.layers = {2};
    setup.encoder = &encoder.config();
    setup.config = {{"bottleneck", 8}};
    setup.weights = std::move(weights);
    return setup;
  }
  std::unique_ptr<Expert> here(Weights weights = {}) {
    const std::string bytes = read_file(kLibrary, "E_TEST");
    const Library& library = Library::load(bytes, sha256_hex(bytes), "libadapter.so", true);
    return std::make_unique<InProcessExpert>(library, adapter_setup(std::move(weights)));
  }
  std::unique_ptr<RemoteExpert> there(Weights weights = {}) {
    return std::make_unique<RemoteExpert>(
        experts::SealedLibrary(read_file(kLibrary, "E_TEST"), "libadapter.so", true),
        std::vector<std::string>{"bad", "good"}, adapter_setup(std::move(weights)),
        ProcessLimits{});
  }
  encoder::Features features(const Expert& expert) {
    return encoder.encode(texts, expert.request());
  }

  testing::TinyEncoder tiny;
  testing::ToyRegistry toy{tiny};
  encoder::Encoder encoder{{tiny.folder(), 32, {}}, Compute{}, 64, nullptr, {}};
  std::vector<std::string_view> texts = {
      "good film",       "bad film",       "the song of a good film",
      "bad song",        "very good play", "not good",
      "a bad play",      "pain",           "good match",
      "the drug of pain"};
  std::vector<int32_t> labels = {1, 0, 1, 0, 1, 0, 0, 0, 1, 0};
};

TEST_F(WorkerExpertTest, LogitsAndGradientsAreTheSameBits) {
  const auto one = here();
  const auto other = there();
  EXPECT_EQ(other->flops().row, one->flops().row);
  EXPECT_TRUE(other->trainable());
  for (Expert* expert : {one.get(), static_cast<Expert*>(other.get())}) {
    for (const auto& p : expert->bind(3)) {
      if (p.name == "up.weight")  // at zero, the layer below has no gradient
        p.value.copy_(at::cos(at::arange(p.value.numel(), at::kFloat)).view_as(p.value));
    }
    expert->params_changed();
    const at::Tensor logits = experts::differentiable_forward(*expert, features(*expert));
    at::cross_entropy_loss(logits, at::tensor(labels).to(at::kLong)).backward();
  }
  const encoder::Features rows = features(*one);
  EXPECT_TRUE(other->forward(rows).equal(one->forward(rows)));
  for (size_t i = 0; i < one->parameters().size(); ++i) {
    const Expert::Parameter &mine = one->parameters()[i], &theirs = other->parameters()[i];
    EXPECT_EQ(theirs.name, mine.name);
    EXPECT_EQ(theirs.decay, mine.decay);
    EXPECT_TRUE(theirs.value.equal(mine.value)) << mine.name;
    EXPECT_TRUE(theirs.grad.equal(mine.grad)) << mine.name;
    EXPECT_GT(mine.grad.abs().max().item<double>(), 0) << mine.name;
  }
}

// One that trains itself on texts, two of the plain tier, and two that use LibTorch, of which one
// has blocks of the encoder.
struct Kind {
  const char* name;
  fs::path library;
  uint32_t inputs;
  Json config;
  bool uses_libtorch;
};

struct WorkerKindTest : WorkerExpertTest, ::testing::WithParamInterface<Kind> {
  ExpertSetup kind_setup(Weights weights) {
    ExpertSetup setup = adapter_setup(std::move(weights));
    const Kind& kind = GetParam();
    setup.inputs = kind.inputs;
    setup.config = kind.config;
    setup.encoder_weights = &encoder;
    setup.compute.threads = at::get_num_threads();
    if ((kind.inputs & MOEC_INPUT_POOLED) == 0) setup.pooling.reset();
    if (kind.inputs == MOEC_INPUT_TEXT) setup.layers.clear();
    if (kind.inputs == MOEC_INPUT_HIDDEN) setup.layers = {1};
    return setup;
  }
  std::unique_ptr<Expert> kind_here(Weights weights = {}) {
    const std::string bytes = read_file(GetParam().library, "E_TEST");
    return std::make_unique<InProcessExpert>(
        Library::load(bytes, sha256_hex(bytes), GetParam().name, true),
        kind_setup(std::move(weights)));
  }
  std::unique_ptr<RemoteExpert> kind_there(Weights weights = {}) {
    return std::make_unique<RemoteExpert>(
        experts::SealedLibrary(read_file(GetParam().library, "E_TEST"), GetParam().name, true),
        std::vector<std::string>{"bad", "good"}, kind_setup(std::move(weights)), ProcessLimits{});
  }
};

TEST_P(WorkerKindTest, R58_TheTrainerEndsInTheSameBitsAndItsExpertAnswersWithThem) {
  training::TrainingSet data;
  data.features = features(*kind_here());
  data.labels = labels;
  for (size_t i = 0; i < texts.size(); ++i) data.folds.push_back(i % 4 == 0 ? 0 : -1);
  training::ExpertTrainingOptions options;
  options.recipe = {.epochs = 3, .batch = 4, .schedule = {.lr = 1e-2}, .seed = 4};
  const auto mine = training::train_expert([&] { return kind_here(); }, data, options, {});
  const auto theirs = training::train_expert([&] { return kind_there(); }, data, options, {});
  ASSERT_EQ(theirs.history.size(), mine.history.size());
  for (size_t i = 0; i < mine.history.size(); ++i) {
    if (!std::isnan(mine.history[i].training.loss)) {  // it is, of one that trains itself
      EXPECT_EQ(theirs.history[i].training.loss, mine.history[i].training.loss) << i;
    }
    EXPECT_EQ(theirs.history[i].held_out_loss, mine.history[i].held_out_loss) << i;
  }
  EXPECT_TRUE(theirs.held_out_logits.equal(mine.held_out_logits));
  const Weights learnt = mine.expert->learnt();
  EXPECT_FALSE(learnt.empty());
  expect_equal(theirs.expert->learnt(), learnt);

  const auto one = kind_here(learnt);
  const auto other = kind_there(learnt);
  EXPECT_TRUE(other->forward(data.features).equal(one->forward(data.features)));
  EXPECT_TRUE(
      other->forward_by_library(data.features).equal(one->forward_by_library(data.features)));
  if (GetParam().uses_libtorch)
    EXPECT_EQ(other->process().processor(), at::get_cpu_capability());
  else
    EXPECT_EQ(other->process().processor(), "");
  EXPECT_EQ(other->process().take_denied(), "");
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, WorkerKindTest,
    ::testing::Values(
        Kind{"lexical", fs::path(MOECOLLAB_PLUGIN_FOLDER) / "lexical" / "liblexical.so",
             MOEC_INPUT_TEXT, Json::object(), false},
        Kind{"adapter", kLibrary, MOEC_INPUT_POOLED, {{"bottleneck", 8}}, false},
        Kind{"mlp", MOECOLLAB_MLP, MOEC_INPUT_POOLED, {{"width", 7}}, true},
        Kind{"deep",
             fs::path(MOECOLLAB_PLUGIN_FOLDER) / "deep-adapter" / "libdeep-adapter.so",
             MOEC_INPUT_HIDDEN,
             {{"depth", 1}, {"dropout", 0.1}},
             true}),
    [](const auto& kind) { return std::string(kind.param.name); });

struct WorkerPoolTest : WorkerExpertTest {
  pipeline::Answers answer() {
    pipeline::Collaboration collaboration(pool, pipeline::open_gate(toy.gate_for(pool), pool),
                                          fusion::Mode::kMixture, 0);
    return collaboration.answer(texts);
  }

  pipeline::Pool pool{toy.options()};
};

TEST_F(WorkerPoolTest, TheCollaborationAnswersWithTheSameBits) {
  const pipeline::Answers expected = answer();
  for (size_t e = 0; e < 2; ++e) pool.experts()[e].expert = there(toy.weights[e]);
  const pipeline::Answers seen = answer();
  for (size_t e = 0; e < 2; ++e) EXPECT_TRUE(seen.logits[e].equal(expected.logits[e])) << e;
  EXPECT_TRUE(seen.fused.equal(expected.fused));
  EXPECT_EQ(pool.experts()[1].calls, 2 * static_cast<int64_t>(texts.size()));
}

// Whose weights are no bottleneck's to the host: it asks the library.
TEST_F(WorkerExpertTest, R31_AProcessThatWasKilledIsReplacedAndGivesTheSameBits) {
  const Weights weights = toy.weights[0];
  const auto one = here(weights);
  const auto other = there(weights);
  const encoder::Features rows = features(*one);
  const at::Tensor expected = one->forward_by_library(rows);
  EXPECT_TRUE(other->forward_by_library(rows).equal(expected));
  for (int i = 0; i < 3; ++i) {
    const pid_t before = other->process().id();
    ASSERT_EQ(::kill(before, SIGKILL), 0);
    EXPECT_TRUE(other->forward_by_library(rows).equal(expected)) << i;
    EXPECT_NE(other->process().id(), before);
  }
}

TEST_F(WorkerExpertTest, R27_AProcessThatLeaksIsReplacedAndItsAnswersStay) {
  ExpertSetup setup;
  setup.name = "leaky";
  setup.classes = 2;
  setup.inputs = MOEC_INPUT_TEXT;
  CollectingLog said{Log()};
  setup.context.log = said.log();
  ProcessLimits limits;
  limits.resident = uint64_t{64} << 20;
  const fs::path library = fs::path(MOECOLLAB_HOSTILE_ZOO) / "libhostile_leaks_at_forward.so";
  RemoteExpert expert(experts::SealedLibrary(read_file(library, "E_TEST"), "leaky", true), {},
                      setup, limits);
  encoder::Features rows;
  rows.texts = texts;
  for (size_t i = 0; i < texts.size(); ++i) rows.row_ids.push_back(static_cast<int64_t>(i));
  const at::Tensor first = expert.forward(rows);
  std::set<pid_t> processes = {expert.process().id()};
  for (int call = 0; call < 30; ++call) {
    EXPECT_TRUE(expert.forward(rows).equal(first)) << call;
    EXPECT_LT(expert.process().resident(), limits.resident + (uint64_t{16} << 20));
    processes.insert(expert.process().id());
  }
  EXPECT_GE(processes.size(), 4U);  // a call leaks 8 MiB
  EXPECT_LT(processes.size(), 10U);
  ASSERT_FALSE(said.texts().empty());
  EXPECT_THAT(said.texts().front(), HasSubstr("expert leaky: its process had grown to"));
}

TEST_F(WorkerExpertTest, ABottleneckOfAnotherProcessIsComputedHere) {
  const auto one = here(toy.weights[0]);
  const auto other = there(toy.weights[0]);
  EXPECT_TRUE(other->is_host_code());
  EXPECT_EQ(other->flops().row, one->flops().row);
  EXPECT_TRUE(other->forward(features(*one)).equal(one->forward(features(*one))));
  EXPECT_TRUE(other->facts().isolated);
}

TEST_F(WorkerExpertTest, AProcessThatIsGoneBetweenTwoPassesIsAnError) {
  const auto expert = there();
  expert->bind(1);
  std::unique_ptr<Expert::Saved> saved;
  const at::Tensor logits = expert->forward_train(features(*expert), 0, saved);
  ::kill(expert->process().id(), SIGKILL);
  const std::string said = refusal([&] { expert->vjp(*saved, at::ones_like(logits)); });
  EXPECT_THAT(said, HasSubstr("E_IPC_DIED: expert films: its process died of SIGKILL in vjp()"));
  saved.reset();
  // What it had learnt is gone with it, so it is not made again.
  EXPECT_THAT(refusal([&] { expert->forward(features(*expert)); }), HasSubstr("is gone"));
}

}  // namespace
}  // namespace moecollab::worker
