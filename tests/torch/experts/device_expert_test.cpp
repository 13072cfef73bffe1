// Experts of the torch tier whose tensors are on another device than the CPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "experts/autograd.h"
#include "experts/in_process_expert.h"
#include "torch/packed_attention.h"
#include "torch/test_device.h"
#include "torch/tiny_encoder.h"
#include "training/adamw.h"
#include "training/learner.h"

namespace moecollab::experts {
namespace {

using moecollab::testing::device_counts;
using moecollab::testing::reset_device_counts;

const Library& library_of(const fs::path& file) {
  const std::string bytes = read_file(file, "E_TEST");
  return Library::load(bytes, sha256_hex(bytes), file.filename().string(), true);
}

struct DeviceExpertTest : ::testing::Test {
  DeviceExpertTest() {
    moecollab::testing::use_test_device();
    moecollab::testing::use_packed_attention();
  }
  static constexpr Device kDevice{DeviceType::kPrivateUse1, 0};

  using Weights = std::vector<std::pair<std::string, at::Tensor>>;
  // A deep adapter over both layers.
  InProcessExpert deep(Device device, const char* mode, const Weights& weights = {},
                       double dropout = 0) {
    encoder::Encoder& encoder = device.is_cpu() ? on_cpu : on_device;
    ExpertSetup setup;
    setup.name = "deep";
    setup.classes = 3;
    setup.inputs = MOEC_INPUT_HIDDEN;
    setup.layers = {0};
    setup.encoder = &encoder.config();
    setup.encoder_weights = &encoder;
    setup.config = {{"depth", 2}, {"mode", mode}, {"rank", 2}, {"dropout", dropout}};
    setup.weights = weights;
    setup.compute.device = device;
    return InProcessExpert(
        library_of(fs::path(MOECOLLAB_PLUGIN_FOLDER) / "deep-adapter" / "libdeep-adapter.so"),
        std::move(setup));
  }
  // The logits after each of some steps.
  std::vector<at::Tensor> train(InProcessExpert& expert, int steps) {
    std::vector<training::AdamW::Parameter> parameters;
    for (const auto& p : expert.bind(3)) parameters.push_back({p.value, p.grad, p.decay});
    training::AdamW optimiser(parameters, {.lr = 1e-2});
    const encoder::Features rows = on_cpu.encode(texts, expert.request());
    std::vector<at::Tensor> logits;
    for (int step = 0; step < steps; ++step) {
      const at::Tensor found = differentiable_forward(expert, rows, 1);
      at::cross_entropy_loss(found, at::tensor({0, 1, 2, 0, 1}, at::kLong)).backward();
      logits.push_back(found.detach());
      optimiser.step();
      expert.params_changed();
    }
    return logits;
  }
  static double distance(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
  }

  moecollab::testing::TinyEncoder tiny;
  encoder::Encoder on_cpu{{tiny.folder(), 32, {}}, Compute{}, 64, nullptr, {}};
  encoder::Encoder on_device{{tiny.folder(), 32, {}}, Compute{.device = kDevice}, 64, nullptr, {}};
  std::vector<std::string_view> texts = {"good film", "the court", "a b c d",
                                         "not a very good play", "pain"};
};

TEST_F(DeviceExpertTest, ADeepExpertLearnsThereWhatItLearnsOnTheCpu) {
  for (const char* mode : {"full", "lora"}) {
    SCOPED_TRACE(mode);
    InProcessExpert here = deep({}, mode), there = deep(kDevice, mode);
    const std::vector<at::Tensor> expected = train(here, 5);
    reset_device_counts();
    const std::vector<at::Tensor> found = train(there, 5);
    EXPECT_GT(device_counts().calls["aten::gelu"], 0) << "it computed there";
    for (size_t step = 0; step < expected.size(); ++step)
      EXPECT_LT(distance(found[step], expected[step]), 1e-4) << step;
    EXPECT_GT(distance(found.front(), found.back()), 1e-3) << "it learns";
    // AdamW makes whole steps of what rounding leaves of a gradient near 0, whose sign differs from
    // CPU to CPU: so what counts is how far all weights of a tensor went, not each alone.
    InProcessExpert before = deep({}, mode);
    before.bind(3);
    for (size_t i = 0; i < here.parameters().size(); ++i) {
      ASSERT_FALSE(there.parameters()[i].value.is_cpu());
      // No answer depends on the keys' bias: rounding alone moves it.
      if (here.parameters()[i].name.ends_with("key.bias")) continue;
      const at::Tensor learnt = here.parameters()[i].value, start = before.parameters()[i].value;
      const auto apart = (there.parameters()[i].value.cpu() - learnt).norm().item<double>();
      EXPECT_LT(apart, 1e-3 * (learnt - start).norm().item<double>()) << here.parameters()[i].name;
    }
    // Its own code, in training, and the host's blocks, once it has its weights.
    const encoder::Features rows = on_cpu.encode(texts, here.request());
    EXPECT_LT(distance(there.forward(rows), here.forward(rows)), 1e-4);
    InProcessExpert answers = deep(kDevice, mode, there.learnt());
    EXPECT_LT(distance(answers.forward(rows), here.forward(rows)), 1e-4);
    InProcessExpert back = deep({}, mode, there.learnt());
    EXPECT_LT(distance(back.forward(rows), here.forward(rows)), 1e-4);
  }
}

TEST_F(DeviceExpertTest, ABatchThatTheDeviceHasNoMemoryForIsHalved) {
  InProcessExpert whole = deep(kDevice, "full");
  whole.bind(3);
  InProcessExpert expert = deep(kDevice, "full", whole.learnt());
  const encoder::Features rows = on_cpu.encode(texts, expert.request());
  const at::Tensor expected = expert.forward(rows);  // packs the blocks, too
  using moecollab::testing::set_test_device_memory, moecollab::testing::test_device_memory_used;
  const int64_t states = rows.hidden.at(0).numel() * 4;
  // Enough for the states, not for what the blocks make of all of them.
  set_test_device_memory(test_device_memory_used() + 8 * states);
  EXPECT_LT(distance(expert.forward(rows), expected), 1e-5);
  set_test_device_memory(test_device_memory_used());
  EXPECT_THROW(expert.forward(rows), c10::OutOfMemoryError);
  set_test_device_memory(std::nullopt);
}

// What a checkpoint holds is in the host's memory, and goes back to the device.
TEST_F(DeviceExpertTest, ARunThatIsContinuedEndsInTheSameBits) {
  training::TrainingSet data;
  data.labels = {0, 1, 2, 0, 1};
  const std::vector<int64_t> rows = {0, 1, 2, 3, 4};
  const training::Recipe recipe{
      .epochs = 2, .batch = 2, .schedule = {.lr = 1e-2}, .clip = 0.5, .seed = 3};
  InProcessExpert whole = deep(kDevice, "full", {}, 0.2), broken = deep(kDevice, "full", {}, 0.2),
                  next = deep(kDevice, "full", {}, 0.2);
  data.features = on_cpu.encode(texts, whole.request());
  const auto learner = make_learner(whole, recipe, 5);
  for (int32_t epoch = 0; epoch < 2; ++epoch) learner->epoch(data, rows, epoch, [] {});

  const auto first = make_learner(broken, recipe, 5);
  first->epoch(data, rows, 0, [] {});
  EXPECT_THROW(first->epoch(data, rows, 1, [] { throw std::runtime_error("stop"); }),
               std::runtime_error);
  const std::optional<training::CheckpointState> saved = first->state();
  for (const auto& [name, tensor] : saved->tensors) EXPECT_TRUE(tensor.is_cpu()) << name;
  const auto second = make_learner(next, recipe, 5);
  second->restore(*saved);
  second->epoch(data, rows, 1, [] {});
  const auto expected = whole.learnt(), found = next.learnt();
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(found[i].second.equal(expected[i].second)) << expected[i].first;
}

TEST_F(DeviceExpertTest, DropoutFollowsTheSeedOfTheCall) {
  InProcessExpert expert = deep(kDevice, "full", {}, 0.5);
  expert.bind(1);
  const encoder::Features rows = on_cpu.encode(texts, expert.request());
  const auto run = [&](uint64_t seed) {
    std::unique_ptr<Expert::Saved> saved;
    return expert.forward_train(rows, seed, saved);
  };
  EXPECT_TRUE(run(1).equal(run(1)));
  EXPECT_FALSE(run(1).equal(run(2)));
}

// Parameters, gradients and the optimiser's moments stay on the device.
TEST_F(DeviceExpertTest, WhatAStepSendsIsItsRowsAndBringsBackItsLogits) {
  InProcessExpert expert = deep(kDevice, "full");
  train(expert, 1);
  const encoder::Features rows = on_cpu.encode(texts, expert.request());
  std::unique_ptr<Expert::Saved> saved;
  reset_device_counts();
  const at::Tensor logits = expert.forward_train(rows, 1, saved);
  expert.vjp(*saved, at::ones_like(logits));
  expert.params_changed();
  const int64_t states = rows.hidden.at(0).numel() * 4;
  EXPECT_LT(device_counts().bytes_to_device, 2 * states);
  EXPECT_EQ(device_counts().bytes_to_host, logits.numel() * 4);
}

// An expert that does not say that it runs anywhere is given host memory, and computes there.
TEST_F(DeviceExpertTest, OthersComputeOnTheCpuAsBefore) {
  ExpertSetup setup;
  setup.name = "adapter";
  setup.classes = 2;
  setup.inputs = MOEC_INPUT_POOLED;
  setup.pooling = encoder::Pooling::kMean;
  setup.layers = {2};
  setup.encoder = &on_cpu.config();
  setup.config = {{"bottleneck", 8}};
  const Library& library =
      library_of(fs::path(MOECOLLAB_PLUGIN_FOLDER) / "adapter" / "libadapter.so");
  InProcessExpert here(library, setup);
  setup.compute.device = kDevice;
  InProcessExpert there(library, setup);
  here.bind(4);
  there.bind(4);
  const encoder::Features rows = on_cpu.encode(texts, here.request());
  reset_device_counts();
  EXPECT_TRUE(there.forward(rows).equal(here.forward(rows)));
  EXPECT_EQ(device_counts().all_calls(), 0);
}

}  // namespace
}  // namespace moecollab::experts
