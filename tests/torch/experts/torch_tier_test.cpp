// Experts written with LibTorch, over the C ABI: the sample mlp-torch and the stock deep adapter.
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "experts/autograd.h"
#include "experts/in_process_expert.h"
#include "pipeline/instantiate.h"
#include "torch/tiny_encoder.h"
#include "training/adamw.h"

namespace moecollab::experts {
namespace {

using ::testing::HasSubstr;
constexpr int64_t kTierClasses = 3;

const Library& loaded(const fs::path& file) {
  const std::string bytes = read_file(file, "E_TEST");
  return Library::load(bytes, sha256_hex(bytes), file.filename().string(), true);
}

std::map<std::string, at::Tensor> twins(const std::vector<Expert::Parameter>& parameters) {
  std::map<std::string, at::Tensor> twin;
  for (const auto& p : parameters) twin[p.name] = p.value.detach().clone().requires_grad_(true);
  return twin;
}

struct MlpTest : ::testing::Test {
  InProcessExpert make(std::vector<std::pair<std::string, at::Tensor>> weights = {}) {
    ExpertSetup setup;
    setup.name = "mlp";
    setup.classes = kTierClasses;
    setup.inputs = MOEC_INPUT_POOLED;
    setup.pooling = encoder::Pooling::kMean;
    setup.layers = {2};
    setup.encoder = &config;
    setup.config = {{"width", 7}};
    setup.weights = std::move(weights);
    return InProcessExpert(loaded(MOECOLLAB_MLP), std::move(setup));
  }
  encoder::Features rows(int64_t n) {
    encoder::Features f;
    f.pooled[{2, encoder::Pooling::kMean}] =
        at::sin(at::arange(n * 12, at::kFloat).mul(1.7)).view({n, 12});
    f.texts.assign(static_cast<size_t>(n), "text");
    for (int64_t i = 0; i < n; ++i) f.row_ids.push_back(i);
    return f;
  }
  at::Tensor model(std::map<std::string, at::Tensor>& w, const encoder::Features& f) {
    const at::Tensor x = f.pooled.at({2, encoder::Pooling::kMean});
    const at::Tensor inner = at::tanh(at::linear(x, w["inner.weight"], w["inner.bias"]));
    return at::linear(inner, w["out.weight"], w["out.bias"]);
  }
  encoder::BertConfig config = [] {
    encoder::BertConfig c;
    c.layers = 2;
    c.hidden = 12;
    c.heads = 2;
    c.intermediate = 8;
    c.activation = "gelu";
    return c;
  }();
};

TEST(TorchTier, ALibraryWhoseManifestDoesNotStateLibTorchIsRefusedBeforeAndAfterAnotherLoadedIt) {
  const std::string bytes = read_file(MOECOLLAB_MLP, "E_TEST");
  const auto refused = [&](const std::string& sha256) {
    try {
      Library::load(bytes, sha256, "libmlp.so", /*states_libtorch=*/false);
    } catch (const Error& error) {
      return error.code() + ": " + error.what();
    }
    return std::string("taken");
  };
  const std::string other(64, '1');  // as if nobody had loaded it
  EXPECT_THAT(refused(other), HasSubstr("E_ABI_LIBTORCH"));
  EXPECT_THAT(refused(other), HasSubstr("libmlp.so needs lib"));
  loaded(MOECOLLAB_MLP);
  EXPECT_THAT(refused(sha256_hex(bytes)), HasSubstr("E_ABI_LIBTORCH"));
  const std::string plain =
      read_file(fs::path(MOECOLLAB_PLUGIN_FOLDER) / "adapter" / "libadapter.so", "E_TEST");
  EXPECT_NO_THROW(Library::load(plain, sha256_hex(plain), "libadapter.so", false));
}

// Ten steps through the ABI and ten of the same model inside LibTorch end in the same weights.
TEST_F(MlpTest, TrainingThroughTheAbiEqualsTrainingInsideLibTorch) {
  InProcessExpert expert = make();
  auto& parameters = expert.bind(11);
  std::map<std::string, at::Tensor> twin = twins(parameters);
  std::vector<training::AdamW::Parameter> ours, theirs;
  for (auto& p : parameters) {
    twin[p.name].mutable_grad() = at::zeros_like(twin[p.name]);
    ours.push_back({p.value, p.grad, p.decay});
    theirs.push_back({twin[p.name], twin[p.name].mutable_grad(), p.decay});
  }
  training::AdamW one(ours, {.lr = 1e-2}), two(theirs, {.lr = 1e-2});
  const encoder::Features f = rows(16);
  const at::Tensor labels =
      f.pooled.at({2, encoder::Pooling::kMean}).narrow(1, 0, kTierClasses).argmax(1);
  double first = 0, last = 0;
  for (int step = 0; step < 10; ++step) {
    const at::Tensor loss = at::cross_entropy_loss(differentiable_forward(expert, f), labels);
    loss.backward();
    one.step();
    expert.params_changed();
    at::cross_entropy_loss(model(twin, f), labels).backward();
    two.step();
    last = loss.item<double>();
    if (step == 0) first = last;
  }
  EXPECT_LT(last, first);
  for (const auto& p : parameters) {
    EXPECT_LT((p.value - twin[p.name]).abs().max().item<double>(), 1e-5) << p.name;
  }
}

TEST_F(MlpTest, WhatItLearntMakesTheSameExpert) {
  InProcessExpert expert = make();
  expert.bind(5);
  const encoder::Features f = rows(6);
  const at::Tensor before = expert.forward(f);
  EXPECT_GT(before.abs().max().item<double>(), 0);
  InProcessExpert again = make(expert.learnt());
  EXPECT_TRUE(again.forward(f).equal(before));
}

TEST_F(MlpTest, EqualSeedsGiveEqualParametersAndOthersOthers) {
  InProcessExpert a = make(), b = make(), c = make();
  EXPECT_TRUE(a.bind(1).front().value.equal(b.bind(1).front().value));
  EXPECT_FALSE(a.parameters().front().value.equal(c.bind(2).front().value));
}

TEST_F(MlpTest, AWeightThatIsMissingIsRefusedByName) {
  InProcessExpert expert = make();
  expert.bind(5);
  auto weights = expert.learnt();
  weights.erase(weights.begin());
  try {
    make(weights);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DESC_MISMATCH");
    EXPECT_THAT(error.what(), HasSubstr("inner.weight is missing"));
  }
}

// A deep adapter over a tiny encoder of two layers.
struct DeepAdapterTest : ::testing::Test {
  InProcessExpert make(Json config, std::vector<std::pair<std::string, at::Tensor>> weights = {},
                       bool offers_weights = true) {
    ExpertSetup setup;
    setup.name = "deep";
    setup.classes = kTierClasses;
    setup.inputs = MOEC_INPUT_HIDDEN;
    setup.layers = {0};
    setup.encoder = &encoder.config();
    setup.encoder_weights = offers_weights ? &encoder : nullptr;
    setup.config = std::move(config);
    setup.weights = std::move(weights);
    setup.adopt_layers = true;
    return InProcessExpert(
        loaded(fs::path(MOECOLLAB_PLUGIN_FOLDER) / "deep-adapter" / "libdeep-adapter.so"),
        std::move(setup));
  }
  encoder::Features features(const Expert& expert) {
    encoder::FeatureRequest request = expert.request();
    request.pooled.insert({2, encoder::Pooling::kMean});
    return encoder.encode(texts, request);
  }
  std::string refusal(const Json& config, bool offers_weights = true) {
    try {
      make(config, {}, offers_weights);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

  testing::TinyEncoder tiny;
  encoder::Encoder encoder{{tiny.folder(), 32, {}}, Compute{}, 64, nullptr, {}};
  std::vector<std::string_view> texts = {"a b c d e", "b", "c a b", "e d c b a a b c", "d e"};
};

// Untrained blocks are the encoder's, so the head reads the encoder's own pooled states.
TEST_F(DeepAdapterTest, StartsAsTheSharedEncoderWhereverItForks) {
  for (const char* mode : {"full", "lora"}) {
    for (const Json& depth : {Json(1), Json(2), Json("all")}) {
      SCOPED_TRACE(fmt::format("{} {}", mode, depth.dump()));
      InProcessExpert expert = make({{"depth", depth}, {"mode", mode}, {"rank", 2}});
      at::Tensor head;
      for (auto& p : expert.bind(1)) {
        if (p.name == "head.weight") head = p.value;
      }
      const encoder::Features f = features(expert);
      const at::Tensor expected = at::linear(f.pooled.at({2, encoder::Pooling::kMean}), head);
      EXPECT_LT((expert.forward(f) - expected).abs().max().item<double>(), 1e-5);
    }
  }
}

TEST_F(DeepAdapterTest, ARowDependsOnItselfAlone) {
  InProcessExpert expert = make({{"depth", 2}});
  expert.bind(1);
  const encoder::Features f = features(expert);
  const at::Tensor together = expert.forward(f);
  for (int64_t i = 0; i < f.rows(); ++i) {
    const int64_t row[] = {i};
    EXPECT_LT((expert.forward(f.select(row)) - together[i]).abs().max().item<double>(), 1e-5) << i;
  }
}

// vjp against central differences, along random directions of each parameter.
TEST_F(DeepAdapterTest, GradientsEqualCentralDifferences) {
  for (const char* mode : {"full", "lora"}) {
    SCOPED_TRACE(mode);
    InProcessExpert expert = make({{"depth", 1}, {"mode", mode}, {"rank", 2}, {"dropout", 0}});
    auto& parameters = expert.bind(3);
    for (auto& p : parameters) {
      if (p.name.ends_with("lora_b")) p.value.normal_(0, 0.1);  // at zero A has no gradient
    }
    expert.params_changed();
    const encoder::Features f = features(expert);
    const at::Tensor labels = at::tensor({0, 1, 2, 0, 1}, at::kLong);
    const auto loss = [&] {
      return at::cross_entropy_loss(expert.forward(f), labels).item<double>();
    };
    at::cross_entropy_loss(differentiable_forward(expert, f), labels).backward();
    for (auto& p : parameters) {
      const at::Tensor direction = at::randn_like(p.value);
      const double step = 1e-2 / direction.norm().item<double>();
      const at::Tensor kept = p.value.clone();
      p.value.copy_(kept + direction * step);
      expert.params_changed();
      const double up = loss();
      p.value.copy_(kept - direction * step);
      expert.params_changed();
      const double down = loss();
      p.value.copy_(kept);
      const double seen = (p.grad * direction).sum().item<double>();
      EXPECT_NEAR(seen, (up - down) / (2 * step), 2e-2 * std::abs(seen) + 2e-2) << p.name;
    }
  }
}

TEST_F(DeepAdapterTest, DropoutFollowsTheSeedOfTheCall) {
  InProcessExpert expert = make({{"depth", 1}, {"dropout", 0.5}});
  expert.bind(1);
  const encoder::Features f = features(expert);
  const auto run = [&](uint64_t seed) {
    std::unique_ptr<Expert::Saved> saved;
    return expert.forward_train(f, seed, saved);
  };
  EXPECT_TRUE(run(1).equal(run(1)));
  EXPECT_FALSE(run(1).equal(run(2)));
}

TEST_F(DeepAdapterTest, LoraKeepsTheSharedWeightsOutOfThePackage) {
  InProcessExpert expert = make({{"depth", 2}, {"mode", "lora"}, {"rank", 2}});
  expert.bind(1);
  for (const auto& [name, tensor] : expert.learnt()) {
    EXPECT_TRUE(name.starts_with("head.") || name.find(".lora_") != std::string::npos) << name;
  }
}

// An expert with weights leaves its blocks to the host; one in training computes them itself.
TEST_F(DeepAdapterTest, TheHostsBlocksGiveWhatItsOwnGive) {
  for (const char* mode : {"full", "lora"}) {
    SCOPED_TRACE(mode);
    const Json config = {{"depth", 2}, {"mode", mode}, {"rank", 2}};
    InProcessExpert trained = make(config);
    for (auto& p : trained.bind(3)) p.value.add_(at::randn_like(p.value), 0.05);
    trained.params_changed();
    const encoder::Features f = features(trained);
    const at::Tensor own = trained.forward(f);
    InProcessExpert packed = make(config, trained.learnt());
    const at::Tensor hosts = packed.forward(f);
    EXPECT_LT((hosts - own).abs().max().item<double>(), 1e-5);
    EXPECT_FALSE(hosts.equal(own)) << "both are the expert's own";

    // Bound, it is in training again: what was packed counts no more.
    for (InProcessExpert* expert : {&trained, &packed}) {
      for (auto& p : expert == &packed ? packed.bind(3) : trained.parameters()) {
        if (p.name.find("output.dense") != std::string::npos) p.value.mul_(1.5);
      }
      expert->params_changed();
    }
    EXPECT_GT((trained.forward(f) - own).abs().max().item<double>(), 1e-3);
    EXPECT_TRUE(packed.forward(f).equal(trained.forward(f)));
  }
}

TEST_F(DeepAdapterTest, RefusalsNameTheSetting) {
  EXPECT_THAT(refusal({{"depth", 3}}), HasSubstr("depth"));
  EXPECT_THAT(refusal({{"depth", 0}}), HasSubstr("depth"));
  EXPECT_THAT(refusal({{"depth", "some"}}), HasSubstr("depth"));
  EXPECT_THAT(refusal({{"mode", "half"}}), HasSubstr("neither full nor lora"));
  EXPECT_THAT(refusal({{"dropout", 1}}), HasSubstr("dropout"));
  EXPECT_THAT(refusal({{"detph", 1}}), HasSubstr("detph"));
  EXPECT_THAT(refusal({{"depth", 1}}, /*offers_weights=*/false), HasSubstr("moecollab.encoder/1"));
}

}  // namespace
}  // namespace moecollab::experts
