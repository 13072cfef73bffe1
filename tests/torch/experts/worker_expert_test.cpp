// An expert of another process behind experts::Expert: pipeline and training use it unchanged, and
// get the bits that an expert of this process gives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/strings.h"
#include "experts/autograd.h"
#include "experts/in_process_expert.h"
#include "pipeline/collaboration.h"
#include "plugin/throwaway_worker.h"
#include "torch/tiny_encoder.h"
#include "torch/toy_registry.h"
#include "training/expert_trainer.h"

namespace moecollab::experts {
namespace {

using plugin_test::Floats;
using plugin_test::Op;
using ::testing::HasSubstr;
using Weights = std::vector<std::pair<std::string, at::Tensor>>;

const fs::path kLibrary = fs::path(MOECOLLAB_PLUGIN_FOLDER) / "adapter" / "libadapter.so";

// Over the throw-away worker of tests/plugin: an expert that reads the means of one layer and has
// params/1 and train/1. It is bound only where it was made without weights.
class WorkerExpert final : public Expert {
 public:
  explicit WorkerExpert(const ExpertSetup& setup) : facts_(facts_of(setup)) {
    plugin_test::ExpertSpec spec;
    spec.classes = setup.classes;
    spec.inputs = setup.inputs;
    spec.pooling = MOEC_POOLING_MEAN;
    spec.layers = setup.layers;
    spec.hidden = static_cast<int32_t>(setup.encoder->hidden);
    spec.config = to_line(setup.config);
    for (const auto& [name, tensor] : setup.weights) spec.weights.emplace(name, shared(tensor));
    made_ = ask([&] { return worker_.create(kLibrary, spec); });
    facts_.flops = {made_.flops_per_row, made_.flops_per_token, made_.flops_per_pair};
    facts_.trainable = made_.trainable;
  }

  const ExpertFacts& facts() const override { return facts_; }

  at::Tensor forward(const encoder::Features& rows) override {
    const Floats x = shared(pooled(rows)), y = worker_.memory.floats({rows.rows(), classes()});
    call(Op::forward, {&y, &x});
    return mapped(y).clone();
  }

  const std::vector<Parameter>& bind(uint64_t seed) override {
    std::vector<Floats> values, grads;
    for (uint64_t i = 0; i < made_.parameters; ++i) {
      call(Op::parameter, {}, i);
      const plugin_test::WireTensor& wire = worker_.memory.message().tensors[0];
      const plugin_test::ParameterRole& role = worker_.memory.message().role;
      const std::vector<int64_t> shape(wire.shape, wire.shape + wire.ndim);
      values.push_back(worker_.memory.floats(shape));
      grads.push_back(worker_.memory.floats(shape));
      parameters_.push_back({wire.name, mapped(values.back()), mapped(grads.back()), role.trainable,
                             role.decay, role.lr_scale});
    }
    std::vector<const Floats*> both;
    for (const std::vector<Floats>* tensors : {&values, &grads}) {
      for (const Floats& tensor : *tensors) both.push_back(&tensor);
    }
    call(Op::bind, both);
    call(Op::init, {}, seed);
    params_changed();
    return parameters_;
  }
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  void params_changed() override { call(Op::params_changed); }

  at::Tensor forward_train(encoder::Features rows, uint64_t seed,
                           std::unique_ptr<Saved>& saved) override {
    const Floats x = shared(pooled(rows)), y = worker_.memory.floats({rows.rows(), classes()});
    saved = std::make_unique<SavedThere>(worker_, call(Op::forward_train, {&y, &x}, seed));
    return mapped(y).clone();
  }
  void vjp(Saved& saved, const at::Tensor& gy) override {
    const Floats there = shared(gy);
    call(Op::vjp, {&there}, static_cast<SavedThere&>(saved).number());
  }

  SelfFitting* self_fitting() override { return nullptr; }
  bool learns_parameters_only() const override { return trainable() && made_.state_tensors == 0; }
  Weights learnt() override {
    Weights tensors;
    for (const Parameter& p : parameters_) tensors.emplace_back(p.name, p.value.clone());
    return tensors;
  }

  void end_process() { EXPECT_THROW(call(Op::die), Error); }

 private:
  class SavedThere final : public Saved {
   public:
    SavedThere(plugin_test::Worker& worker, uint64_t number) : worker_(worker), number_(number) {}
    ~SavedThere() override {
      try {
        worker_.call(Op::release_saved, {}, number_);
      } catch (const std::runtime_error&) {
        // A process that is gone has nothing to release.
      }
    }
    uint64_t number() const { return number_; }

   private:
    plugin_test::Worker& worker_;
    uint64_t number_;
  };

  at::Tensor pooled(const encoder::Features& rows) const {
    return rows.pooled.at(*request().pooled.begin());
  }
  // A copy in the shared memory.
  Floats shared(const at::Tensor& tensor) {
    Floats copy = worker_.memory.floats(tensor.sizes().vec());
    mapped(copy).copy_(tensor);
    return copy;
  }
  static at::Tensor mapped(const Floats& tensor) {
    return at::from_blob(tensor.data(), tensor.shape(), at::kFloat);
  }

  template <typename Call>
  auto ask(const Call& call) -> decltype(call()) {
    try {
      return call();
    } catch (const std::runtime_error& error) {
      throw Error("E_OUT", fmt::format("expert {}: {}", name(), escaped(error.what())));
    }
  }
  uint64_t call(Op op, const std::vector<const Floats*>& tensors = {}, uint64_t number = 0) {
    return ask([&] { return worker_.call(op, tensors, number); });
  }

  ExpertFacts facts_;
  plugin_test::Worker worker_;
  plugin_test::Made made_;
  std::vector<Parameter> parameters_;
};

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
  std::unique_ptr<WorkerExpert> there(Weights weights = {}) {
    return std::make_unique<WorkerExpert>(adapter_setup(std::move(weights)));
  }
  encoder::Features features(const Expert& expert) {
    return encoder.encode(texts, expert.request());
  }

  testing::TinyEncoder tiny;
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
    const at::Tensor logits = differentiable_forward(*expert, features(*expert));
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

TEST_F(WorkerExpertTest, TheTrainerEndsInTheSameBits) {
  training::TrainingSet data;
  data.features = features(*here());
  data.labels = labels;
  for (size_t i = 0; i < texts.size(); ++i) data.folds.push_back(i % 4 == 0 ? 0 : -1);
  training::ExpertTrainingOptions options;
  options.recipe = {.epochs = 6, .batch = 4, .schedule = {.lr = 1e-2}, .seed = 4};
  const auto mine = training::train_expert([&] { return here(); }, data, options, {});
  const auto theirs = training::train_expert([&] { return there(); }, data, options, {});
  ASSERT_EQ(theirs.history.size(), mine.history.size());
  for (size_t i = 0; i < mine.history.size(); ++i) {
    EXPECT_EQ(theirs.history[i].training.loss, mine.history[i].training.loss) << i;
    EXPECT_EQ(theirs.history[i].held_out_loss, mine.history[i].held_out_loss) << i;
  }
  EXPECT_TRUE(theirs.held_out_logits.equal(mine.held_out_logits));
  EXPECT_FALSE(mine.expert->learnt().empty());
  expect_equal(theirs.expert->learnt(), mine.expert->learnt());
}

struct WorkerPoolTest : WorkerExpertTest {
  pipeline::Answers answer() {
    pipeline::Collaboration collaboration(pool, pipeline::open_gate(toy.gate_for(pool), pool),
                                          fusion::Mode::kMixture, 0);
    return collaboration.answer(texts);
  }

  testing::ToyRegistry toy{tiny};
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

TEST_F(WorkerPoolTest, AProcessThatIsGoneIsAnErrorOfItsExpert) {
  auto worker = there(toy.weights[0]);
  worker->end_process();
  pool.experts()[0].expert = std::move(worker);
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(refusal([&] { answer(); }), "E_OUT: expert films: the worker is gone");
}

TEST_F(WorkerExpertTest, AProcessThatIsGoneBetweenTwoPassesIsAnError) {
  const auto expert = there();
  expert->bind(1);
  std::unique_ptr<Expert::Saved> saved;
  const at::Tensor logits = expert->forward_train(features(*expert), 0, saved);
  expert->end_process();
  EXPECT_THAT(refusal([&] { expert->vjp(*saved, at::ones_like(logits)); }), HasSubstr("is gone"));
  saved.reset();
}

}  // namespace
}  // namespace moecollab::experts
