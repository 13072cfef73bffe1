#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "encoder/parallel.h"
#include "experts/abi_views.h"
#include "experts/autograd.h"
#include "experts/in_process_expert.h"
#include "pipeline/instantiate.h"
#include "training/adamw.h"
#include "training/expert_trainer.h"

namespace moecollab::experts {
namespace {

using ::testing::HasSubstr;

fs::path plugin(const std::string& name) {
  const bool of_tests = name == "faulty" || name == "says_threads";
  return fs::path(of_tests ? MOECOLLAB_TEST_PACKAGES : MOECOLLAB_PLUGIN_FOLDER) / name;
}

const Library& library(const fs::path& package, const std::string& file) {
  const std::string bytes = read_file(package / file, "E_TEST");
  return Library::load(bytes, sha256_hex(bytes), file, true);
}

constexpr int64_t kWidth = 12, kClasses = 3;

encoder::BertConfig tiny_config() {
  encoder::BertConfig config;
  config.layers = 2;
  config.hidden = kWidth;
  config.heads = 2;
  config.intermediate = 8;
  config.activation = "gelu";
  return config;
}

// n rows whose class is the greatest of their first three features.
encoder::Features make_features(int64_t n) {
  encoder::Features f;
  f.pooled[{2, encoder::Pooling::kMean}] =
      at::sin(at::arange(n * kWidth, at::kFloat).mul(1.7)).view({n, kWidth});
  f.texts.assign(static_cast<size_t>(n), "text");
  for (int64_t i = 0; i < n; ++i) f.row_ids.push_back(i);
  return f;
}

struct AdapterTest : ::testing::Test {
  ExpertSetup adapter_setup(std::vector<std::pair<std::string, at::Tensor>> weights = {}) {
    ExpertSetup setup;
    setup.name = "adapter";
    setup.classes = kClasses;
    setup.inputs = MOEC_INPUT_POOLED;
    setup.pooling = encoder::Pooling::kMean;
    setup.layers = {2};
    setup.encoder = &config;
    setup.config = {{"bottleneck", 5}};
    setup.weights = std::move(weights);
    return setup;
  }
  InProcessExpert make(std::vector<std::pair<std::string, at::Tensor>> weights = {}) {
    return InProcessExpert(library(plugin("adapter"), "libadapter.so"),
                           adapter_setup(std::move(weights)));
  }
  at::Tensor targets(const encoder::Features& f) {
    return f.pooled.at({2, encoder::Pooling::kMean}).narrow(1, 0, kClasses).argmax(1);
  }

  encoder::BertConfig config = tiny_config();
};

TEST(Library, TwoLibrariesLoadedOneAfterTheOtherAnswerAsThemselves) {
  const Library& adapter = library(plugin("adapter"), "libadapter.so");
  const Library& lexical = library(plugin("lexical"), "liblexical.so");
  EXPECT_EQ(to_string(adapter.info().id), "org.moecollab.adapter");
  EXPECT_EQ(to_string(lexical.info().id), "org.moecollab.lexical");
  EXPECT_NE(&adapter.table(), &lexical.table());
  EXPECT_EQ(&library(plugin("adapter"), "libadapter.so"), &adapter)
      << "equal digests are mapped once";
}

TEST(Library, TheLoadedBytesSurviveTheFile) {
  const TemporaryFolder folder;
  fs::copy(plugin("adapter") / "libadapter.so", folder.path() / "copy.so");
  std::string bytes = read_file(folder.path() / "copy.so", "E_TEST");
  bytes += "tail";  // another digest, so that it is mapped again
  const Library& loaded = Library::load(bytes, sha256_hex(bytes), "copy.so", true);
  fs::resize_file(folder.path() / "copy.so", 0);
  EXPECT_EQ(to_string(loaded.table().describe()->id), "org.moecollab.adapter");
}

TEST(Library, R16_ASymbolThatNothingDefinesIsRefusedWithTheLoadersText) {
  std::string bytes = read_file(plugin("adapter") / "libadapter.so", "E_TEST");
  const size_t name = bytes.find("__errno_location");
  ASSERT_NE(name, std::string::npos);
  bytes.replace(name, 16, "__errno_locatiox");
  try {
    Library::load(bytes, sha256_hex(bytes), "libadapter.so", true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_ELF_SYM");
    EXPECT_THAT(error.what(), HasSubstr("libadapter.so: it cannot be loaded: "));
    EXPECT_THAT(error.what(), HasSubstr("undefined symbol: __errno_locatiox"));
  }
}

TEST_F(AdapterTest, TrainingFromTheHostLowersTheLoss) {
  InProcessExpert expert = make();
  std::vector<training::AdamW::Parameter> parameters;
  for (auto& p : expert.bind(3)) parameters.push_back({p.value, p.grad, p.decay});
  training::AdamW optimiser(parameters, {.lr = 1e-2});
  const encoder::Features rows = make_features(64);
  const at::Tensor labels = targets(rows);
  double first = 0, last = 0;
  for (int step = 0; step < 150; ++step) {
    const at::Tensor loss = at::cross_entropy_loss(differentiable_forward(expert, rows), labels);
    loss.backward();
    optimiser.step();
    expert.params_changed();
    last = loss.item<double>();
    if (step == 0) first = last;
  }
  EXPECT_LT(last, 0.25 * first);
}

TEST_F(AdapterTest, GradientsEqualThoseOfTheSameModelInLibTorch) {
  InProcessExpert expert = make();
  auto& parameters = expert.bind(3);
  std::map<std::string, at::Tensor> twin;
  for (auto& p : parameters) {
    if (p.name == "up.weight")
      p.value.copy_(at::cos(at::arange(p.value.numel(), at::kFloat)).view_as(p.value).mul(0.1));
    twin[p.name] = p.value.detach().clone().requires_grad_(true);
  }
  expert.params_changed();
  const encoder::Features rows = make_features(9);
  const at::Tensor h = rows.pooled.at({2, encoder::Pooling::kMean});
  at::cross_entropy_loss(differentiable_forward(expert, rows), targets(rows)).backward();
  const at::Tensor inner = at::relu(at::linear(h, twin.at("down.weight"), twin.at("down.bias")));
  const at::Tensor adapted = h + at::linear(inner, twin.at("up.weight"), twin.at("up.bias"));
  at::cross_entropy_loss(at::linear(adapted, twin.at("out.weight"), twin.at("out.bias")),
                         targets(rows))
      .backward();
  for (const auto& p : parameters) {
    EXPECT_LT((p.grad - twin.at(p.name).grad()).abs().max().item<double>(), 1e-5) << p.name;
  }
}

TEST_F(AdapterTest, SecondDerivativesAreRefused) {
  InProcessExpert expert = make();
  expert.bind(3);
  const at::Tensor loss = differentiable_forward(expert, make_features(4)).pow(2).sum();
  EXPECT_THROW(loss.backward({}, /*retain_graph=*/true, /*create_graph=*/true), std::exception);
}

TEST_F(AdapterTest, WhatItLearntMakesTheSameExpert) {
  InProcessExpert expert = make();
  expert.bind(5);
  const encoder::Features rows = make_features(7);
  const at::Tensor before = expert.forward(rows);
  InProcessExpert again = make(expert.learnt());
  EXPECT_TRUE(again.forward(rows).equal(before));
}

TEST_F(AdapterTest, WeightsOfAnotherClassCountAreRefusedWithBothNumbers) {
  InProcessExpert expert = make();
  expert.bind(5);
  auto weights = expert.learnt();
  for (auto& [name, tensor] : weights) {
    if (name == "out.weight") tensor = at::zeros({kClasses + 1, kWidth});
  }
  try {
    make(weights);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DESC_MISMATCH");
    EXPECT_THAT(error.what(), HasSubstr("[4, 12]"));
    EXPECT_THAT(error.what(), HasSubstr("[3, 12]"));
  }
}

TEST_F(AdapterTest, InputsThatTheLibraryWasNotBuiltForAreRefused) {
  ExpertSetup setup;
  setup.name = "adapter";
  setup.classes = 2;
  setup.inputs = MOEC_INPUT_TEXT;
  EXPECT_THROW(InProcessExpert(library(plugin("adapter"), "libadapter.so"), std::move(setup)),
               Error);
}

TEST(HostServices, AnExpertTalksToItsOwnRun) {
  std::atomic<bool> stop = false;
  CollectingLog said{Log()};
  ExpertSetup setup;
  setup.name = "clauses";
  setup.context = {said.log(), StopToken(stop)};
  const HostServices services(setup);
  const moec_host& host = services.table();
  const auto say = [&](int32_t level, std::string_view text) {
    host.log(&host, level, {text.data(), text.size()});
  };
  say(0, "debug");
  say(1, "a note");
  say(2, "a warning\n");
  EXPECT_THAT(said.texts(),
              ::testing::ElementsAre("expert clauses: a note", "expert clauses: a warning\\x0a"));
  EXPECT_EQ(host.should_stop(&host), 0);
  stop = true;
  EXPECT_EQ(host.should_stop(&host), 1);
}

TEST_F(AdapterTest, TrainerChoosesAnEpochAndRefitsBitIdentically) {
  training::TrainingSet data;
  data.features = make_features(60);
  const at::Tensor labels = targets(data.features);
  for (int64_t i = 0; i < 60; ++i) {
    data.labels.push_back(static_cast<int32_t>(labels[i].item<int64_t>()));
    data.folds.push_back(i % 5 == 0 ? 0 : -1);
  }
  training::ExpertTrainingOptions options;
  options.recipe = {.epochs = 12, .batch = 8, .schedule = {.lr = 1e-2}, .seed = 4};
  const auto make_one = [&] {
    return std::make_unique<InProcessExpert>(library(plugin("adapter"), "libadapter.so"),
                                             adapter_setup());
  };
  const auto run = [&] { return training::train_expert(make_one, data, options, {}); };
  training::TrainedExpert one = run(), two = run();
  EXPECT_EQ(one.held_out_rows.size(), 12U);
  EXPECT_EQ(one.held_out_logits.sizes(), (std::vector<int64_t>{12, kClasses}));
  EXPECT_EQ(one.history.back().phase, "refit");
  EXPECT_EQ(one.history.back().epoch, one.epochs);
  EXPECT_LT(one.history.back().training.loss, one.history.front().training.loss);
  EXPECT_TRUE(one.held_out_logits.equal(two.held_out_logits));
  EXPECT_TRUE(one.expert->forward(data.features).equal(two.expert->forward(data.features)));
}

TEST_F(AdapterTest, BadTrainingOptionsAreRefused) {
  const auto code_of = [](const training::Recipe& recipe) -> std::string {
    training::ExpertTrainingOptions options;
    options.recipe = recipe;
    try {
      training::validate(options);
    } catch (const Error& error) {
      return error.code();
    }
    return "accepted";
  };
  EXPECT_EQ(code_of({}), "accepted");
  EXPECT_EQ(code_of({.epochs = 0, .schedule = {}}), "E_CONFIG");
  EXPECT_EQ(code_of({.schedule = {.lr = 0}}), "E_CONFIG");
  EXPECT_EQ(code_of({.schedule = {.lr = -1}}), "E_CONFIG");
  EXPECT_EQ(code_of({.batch = 0, .schedule = {}}), "E_CONFIG");
  EXPECT_EQ(code_of({.schedule = {.warmup = 1}}), "E_CONFIG");
  EXPECT_EQ(code_of({.schedule = {}, .clip = -1}), "E_CONFIG");
}

// An expert that misbehaves as its config says.
struct FaultyTest : ::testing::Test {
  InProcessExpert make(const std::string& fault) {
    ExpertSetup setup;
    setup.name = "faulty";
    setup.classes = 2;
    setup.inputs = MOEC_INPUT_TEXT;
    setup.config = {{fault, 1}};
    return InProcessExpert(library(plugin("faulty"), "libfaulty.so"), std::move(setup));
  }
  std::string code_of(const std::string& fault) {
    try {
      InProcessExpert expert = make(fault);
      encoder::Features rows;
      rows.texts = {"one", "two"};
      rows.row_ids = {0, 1};
      expert.forward(rows);
    } catch (const Error& error) {
      return error.code();
    }
    return "none";
  }
};

TEST_F(FaultyTest, R19_UnwrittenRowsAreFound) {
  EXPECT_EQ(code_of("unwritten"), "E_OUT_UNWRITTEN");
}
TEST_F(FaultyTest, R22_ThrownThingsBecomeErrors) {
  EXPECT_EQ(code_of("throw_exception"), "E_OUT");
  EXPECT_EQ(code_of("throw_int"), "E_OUT");
  EXPECT_EQ(code_of("throw_in_create"), "E_OUT");
}
TEST_F(FaultyTest, TheHonestOneIsFine) { EXPECT_EQ(code_of("nothing"), "none"); }

// Who is called beside others must not take the threads that those run on.
TEST(InProcessExpertTest, AnExpertMayUseTheThreadsThatAreFree) {
  ExpertSetup setup;
  setup.name = "says_threads";
  setup.classes = 2;
  setup.inputs = MOEC_INPUT_TEXT;
  setup.compute.threads = 2;
  InProcessExpert expert(library(plugin("says_threads"), "libsays_threads.so"), std::move(setup));
  encoder::Features rows;
  rows.texts = {"one"};
  rows.row_ids = {0};
  EXPECT_EQ(expert.forward(rows)[0][0].item<float>(), 2);
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  std::atomic<float> said = 0;
  encoder::for_each_in_parallel(2, [&](int64_t i) {
    if (i == 0) said = expert.forward(rows)[0][0].item<float>();
  });
  at::set_num_threads(before);
  EXPECT_EQ(said, 1);
}

TEST(HostServices, ATokenStopsTheExpertsThatHaveIt) {
  std::atomic<bool> stop = false;
  const auto fit = [&](StopToken token) -> std::string {
    ExpertSetup setup;
    setup.name = "lexical";
    setup.classes = 2;
    setup.inputs = MOEC_INPUT_TEXT;
    setup.context.stop = token;
    InProcessExpert expert(library(plugin("lexical"), "liblexical.so"), std::move(setup));
    encoder::Features rows;
    rows.texts = {"one", "two"};
    rows.row_ids = {0, 1};
    SelfFitting& fitting = *expert.self_fitting();
    try {
      fitting.fit_begin(2, 1, 1);
      fitting.fit_batch(rows, at::tensor({0, 1}, at::kInt), at::ones({2}));
      fitting.fit_epoch_end();
    } catch (const Error& error) {
      return error.code();
    }
    return "none";
  };
  EXPECT_EQ(fit(StopToken(stop)), "none");
  stop = true;
  EXPECT_EQ(fit(StopToken(stop)), "E_INTERRUPTED");
  EXPECT_EQ(fit(StopToken()), "none");
}

}  // namespace
}  // namespace moecollab::experts
