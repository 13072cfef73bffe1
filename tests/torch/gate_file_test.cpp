#include "pipeline/gate_file.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "training/gate_trainer.h"
#include "training/held_out_file.h"

namespace moecollab::pipeline {
namespace {

GateFile sample_gate() {
  GateFile file;
  file.gate = gate::make_gate({{6, encoder::Pooling::kMean}},
                              at::sin(at::arange(40, at::kFloat)).view({10, 4}), 3);
  file.gate.weight = at::cos(at::arange(12, at::kFloat)).view({3, 4});
  file.gate.bias = at::tensor({0.1F, -0.3F, 0.2F});
  file.rows = {{"a", "org.a", "1.0.0", std::string(64, 'a'), 1.0, true},
               {"b", "org.b", "1.0.0", std::string(64, 'b'), 1.5, true},
               {"c", "org.c", "2.0.0", std::string(64, 'c'), 1.0, false}};
  file.encoder_fingerprint = std::string(64, 'e');
  file.objective = {0.1, 0.2};
  file.metrics = {{"expert_accuracy", {{"a", 0.5}}}};
  return file;
}

TEST(GateFile, AReloadedGateGivesTheSameProbabilities) {
  const TemporaryFolder folder;
  const GateFile written = sample_gate();
  write_gate(folder.path(), written);
  const GateFile read = read_gate(folder.path());
  const at::Tensor z = at::sin(at::arange(20, at::kFloat).mul(0.7)).view({5, 4});
  const at::Tensor before = gate::routing_weights(written.gate.router_logits(z), 2);
  EXPECT_TRUE(gate::routing_weights(read.gate.router_logits(z), 2).equal(before));
  EXPECT_EQ(read.rows.size(), 3U);
  EXPECT_EQ(read.rows[1].temperature, 1.5);
  EXPECT_FALSE(read.rows[2].heldout_known);
  EXPECT_EQ(read.objective.lambda2, 0.2);
  EXPECT_EQ(read.metrics["expert_accuracy"]["a"], 0.5);
}

TEST(GateFile, MissingDamagedAndContradictoryGatesAreRefused) {
  const TemporaryFolder folder;
  const auto code = [&] {
    try {
      read_gate(folder.path());
    } catch (const Error& error) {
      return error.code();
    }
    return std::string("none");
  };
  EXPECT_EQ(code(), "E_GATE");
  write_gate(folder.path(), sample_gate());
  EXPECT_EQ(code(), "none");
  const fs::path tensors = gate_folder(folder.path()) / "gate.safetensors";
  std::string bytes = read_file(tensors, "E_TEST");
  bytes.back() ^= 1;
  write_file_atomic(tensors, bytes);
  EXPECT_EQ(code(), "E_GATE") << "one bit of the tensors";
  write_gate(folder.path(), sample_gate());
  GateFile other = sample_gate();
  other.rows.pop_back();
  write_gate(folder.path(), other);
  EXPECT_EQ(code(), "E_GATE") << "three rows of weights for two experts";
}

TEST(HeldOutFile, RoundTripsAndFindsByText) {
  const TemporaryFolder folder;
  training::HeldOutLogits logits;
  logits.texts = {sha256("one"), sha256("two")};
  logits.logits = at::tensor({1.0F, 2.0F, 3.0F, 4.0F}).view({2, 2});
  const fs::path file = training::held_out_path(folder.path(), std::string(64, 'f'));
  EXPECT_FALSE(training::read_held_out(file, 2));
  training::write_held_out(file, logits);
  const auto read = training::read_held_out(file, 2);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->find(sha256("two")), 1);
  EXPECT_FALSE(read->find(sha256("three")));
  EXPECT_TRUE(read->logits.equal(logits.logits));
  EXPECT_THROW(training::read_held_out(file, 3), Error) << "another class count";
}

// Two experts of two domains that can be told apart by the sign of the first feature.
TEST(GateTrainer, LearnsToRouteAndIsReproducible) {
  fusion::LabelUnion labels;
  labels.add({"a/1", {"x", "y"}}, false);
  labels.add({"b/1", {"u", "v"}}, false);
  const std::vector<fusion::ExpertLabels> experts = {{0, {0, 1}, 1.0}, {1, {2, 3}, 1.0}};
  constexpr int64_t kTexts = 200;
  training::GateData data;
  data.z = at::sin(at::arange(kTexts * 3, at::kFloat).mul(2.3)).view({kTexts, 3});
  const at::Tensor second = data.z.select(1, 0).gt(0);
  data.targets = second.to(at::kLong) * 2;
  data.logits = {at::tensor({2.0F, 0.0F}).expand({kTexts, 2}).contiguous(),
                 at::tensor({2.0F, 0.0F}).expand({kTexts, 2}).contiguous()};
  data.routing_z = at::zeros({0, 3});
  data.routing_spaces = at::zeros({0}, at::kLong);
  const training::GateTrainingOptions options{
      .objective = {}, .epochs = 60, .lr = 3e-2, .batch = 50, .seed = 9};
  const auto fit = [&] {
    return training::fit_gate(data, experts, labels, {{2, encoder::Pooling::kMean}}, options);
  };
  const training::GateFit one = fit();
  const at::Tensor routed = one.gate.router_logits(data.z).argmax(1);
  EXPECT_GT(routed.eq(second.to(at::kLong)).to(at::kDouble).mean().item<double>(), 0.97);
  EXPECT_TRUE(fit().gate.weight.equal(one.gate.weight)) << "equal seeds give equal bits";
}

}  // namespace
}  // namespace moecollab::pipeline
