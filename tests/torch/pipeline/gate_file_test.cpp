#include "pipeline/gate_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "training/held_out_file.h"

namespace moecollab::pipeline {
namespace {

using ::testing::HasSubstr;

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
  file.precision = Precision::kBf16;
  file.device = DeviceType::kCuda;
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
  EXPECT_EQ(read.precision, Precision::kBf16);
  EXPECT_EQ(read.device, DeviceType::kCuda);
  EXPECT_EQ(read.metrics["expert_accuracy"]["a"], 0.5);
}

TEST(GateFile, ARemovedRowLeavesTheOthersAsTheyAre) {
  GateFile file = sample_gate();
  file.prior = {0.5, 0.25, 0.25};
  file.metrics["expert_accuracy"]["b"] = 0.75;
  const GateFile before = file;
  remove_row(file, 1);
  ASSERT_EQ(file.rows.size(), 2U);
  EXPECT_EQ(file.rows[1].name, "c");
  EXPECT_TRUE(file.gate.weight[0].equal(before.gate.weight[0]));
  EXPECT_TRUE(file.gate.weight[1].equal(before.gate.weight[2]));
  EXPECT_THAT(file.prior,
              ::testing::ElementsAre(::testing::DoubleEq(2.0 / 3), ::testing::DoubleEq(1.0 / 3)));
  EXPECT_FALSE(file.metrics["expert_accuracy"].contains("b"));
  EXPECT_TRUE(file.metrics["expert_accuracy"].contains("a"));
  const at::Tensor z = at::sin(at::arange(8, at::kFloat)).view({2, 4});
  const at::Tensor all = gate::routing_weights(before.gate.router_logits(z), 0);
  const at::Tensor left = at::stack({all.select(1, 0), all.select(1, 2)}, 1);
  EXPECT_TRUE(
      at::allclose(gate::routing_weights(file.gate.router_logits(z), 0), left / left.sum(1, true)))
      << "the softmax renormalises";
  remove_row(file, 0);
  EXPECT_THROW(remove_row(file, 0), Error) << "the only row";
}

TEST(GateFile, AHiddenLayerIsStoredAndRead) {
  const TemporaryFolder folder;
  GateFile written = sample_gate();
  gate::add_hidden_layer(written.gate, 5, 7);
  written.gate.weight = at::cos(at::arange(15, at::kFloat)).view({3, 5});
  write_gate(folder.path(), written);
  const GateFile read = read_gate(folder.path());
  EXPECT_TRUE(read.gate.is_mlp());
  const at::Tensor z = at::sin(at::arange(20, at::kFloat).mul(0.7)).view({5, 4});
  EXPECT_TRUE(read.gate.router_logits(z).equal(written.gate.router_logits(z)));
}

GateFile two_factors() {
  GateFile file = sample_gate();
  file.gate.spaces = {0, 1, 0};
  file.gate.space_weight = at::sin(at::arange(8, at::kFloat)).view({2, 4});
  file.gate.space_bias = at::tensor({0.3F, -0.2F});
  for (const size_t e : {0, 1, 2}) file.rows[e].space = e == 1 ? "b/1" : "a/1";
  file.rows[1].pool = fusion::OpinionPool::kLogarithmic;
  return file;
}

TEST(GateFile, TwoFactorsAreStoredAndRead) {
  const TemporaryFolder folder;
  const GateFile written = two_factors();
  write_gate(folder.path(), written);
  const GateFile read = read_gate(folder.path());
  const at::Tensor z = at::sin(at::arange(20, at::kFloat).mul(0.7)).view({5, 4});
  EXPECT_TRUE(read.gate.router_logits(z).equal(written.gate.router_logits(z)));
  EXPECT_EQ(read.rows[2].space, "a/1");
  EXPECT_EQ(read.rows[1].pool, fusion::OpinionPool::kLogarithmic);
  EXPECT_EQ(read.rows[0].pool, fusion::OpinionPool::kLinear);
}

// Changes gate.toml of a folder by replacing a text that must stand there.
void edit_toml(const fs::path& registry, const std::string& from, const std::string& to) {
  const fs::path file = registry::gate_file(registry);
  std::string text = read_file(file, "E_TEST");
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << text;
  write_file_atomic(file, text.replace(at, from.size(), to));
}

// While another process changes the gate, gate.toml may be the old one and the tensors the new.
TEST(GateFile, TensorsThatWereReplacedMeanwhileAreReadFromTheHistory) {
  const TemporaryFolder folder;
  GateFile file = sample_gate();
  write_gate(folder.path(), file);
  const fs::path tensors = registry::gate_tensors(folder.path());
  const std::string bytes = read_file(tensors, "E_TEST"), other = "of another gate";
  const auto keep = [&](const std::string& content) {
    const fs::path object = registry::object_file(folder.path(), sha256_hex(content));
    fs::create_directories(object.parent_path());
    write_file_atomic(object, content);
    return object;
  };
  const fs::path kept = keep(bytes);
  write_file_atomic(tensors, other);
  EXPECT_THROW(read_gate(folder.path()), Error) << "damaged, for all that the history knows";
  keep(other);
  EXPECT_TRUE(read_gate(folder.path()).gate.weight.equal(file.gate.weight));
  fs::remove(tensors);
  EXPECT_TRUE(read_gate(folder.path()).gate.weight.equal(file.gate.weight));
  write_file_atomic(kept, "damaged");
  EXPECT_THROW(read_gate(folder.path()), Error);
}

TEST(GateFile, TheSettingsOfTheFitAreRead) {
  const TemporaryFolder folder;
  GateFile written = sample_gate();
  written.fit = {{"calibrate", true}, {"keep_replay", 64}, {"prior", "data"}};
  write_gate(folder.path(), written);
  EXPECT_EQ(read_gate(folder.path()).fit, written.fit);
}

TEST(GateFile, AFileOfTheFirstVersionIsReadAsLinear) {
  const TemporaryFolder folder;
  write_gate(folder.path(), sample_gate());
  edit_toml(folder.path(), "gate = \"linear\"\n", "");
  EXPECT_FALSE(read_gate(folder.path()).gate.is_mlp());
}

TEST(GateFile, AKindThatContradictsTheTensorsIsRefused) {
  const TemporaryFolder folder;
  write_gate(folder.path(), sample_gate());
  edit_toml(folder.path(), "gate = \"linear\"", "gate = \"mlp\"");
  EXPECT_THROW(read_gate(folder.path()), Error);
  edit_toml(folder.path(), "gate = \"mlp\"", "gate = \"deep\"");
  EXPECT_THROW(read_gate(folder.path()), Error);
}

TEST(GateFile, EveryTermOfTheObjectiveIsRecorded) {
  const TemporaryFolder folder;
  GateFile written = sample_gate();
  written.objective.entropy_sign = gate::EntropySign::kExplore;
  written.objective.balance_window = 8;
  written.objective.free_bits = 0.25;
  written.objective.switch_load = 0.5;
  written.objective.importance_cv2 = 0.75;
  written.objective.z_loss = 1e-3;
  written.prior = {0.5, 0.25, 0.25};
  write_gate(folder.path(), written);
  const GateFile read = read_gate(folder.path());
  EXPECT_EQ(read.objective.entropy_sign, gate::EntropySign::kExplore);
  EXPECT_EQ(read.objective.balance_window, 8);
  EXPECT_EQ(read.objective.free_bits, 0.25);
  EXPECT_EQ(read.objective.switch_load, 0.5);
  EXPECT_EQ(read.objective.importance_cv2, 0.75);
  EXPECT_EQ(read.objective.z_loss, 1e-3);
  EXPECT_EQ(read.prior, written.prior);
  written.prior.pop_back();
  write_gate(folder.path(), written);
  EXPECT_THROW(read_gate(folder.path()), Error) << "two shares for three experts";
}

TEST(GateFile, TwoFactorsThatDoNotFitAreRefused) {
  const auto refusal = [](const std::string& from, const std::string& to) -> std::string {
    const TemporaryFolder folder;
    write_gate(folder.path(), two_factors());
    edit_toml(folder.path(), from, to);
    try {
      read_gate(folder.path());
    } catch (const Error& error) {
      return error.code() + ": " + error.what();
    }
    return "none";
  };
  EXPECT_THAT(refusal("pool = \"logarithmic\"", "pool = \"geometric\""), HasSubstr("geometric"));
  EXPECT_THAT(refusal("space = \"b/1\"", "spare = \"b/1\""), HasSubstr("space"));
  EXPECT_THAT(refusal("space = \"b/1\"", "space = \"a/1\""), HasSubstr("space.weight"));
  EXPECT_THAT(refusal("gate = \"factored\"", "gate = \"linear\""), HasSubstr("E_GATE"));
}

TEST(GateFile, TheLayerAtWhichTextsMayStopIsTheDeepestThatItReads) {
  const TemporaryFolder folder;
  GateFile written = sample_gate();
  const int layer = written.gate.layer();
  const fs::path toml = registry::gate_file(folder.path());
  write_gate(folder.path(), written);
  EXPECT_THAT(read_file(toml, "E_TEST"), ::testing::Not(::testing::HasSubstr("gate_layer")));
  written.layer_was_chosen = true;
  write_gate(folder.path(), written);
  EXPECT_TRUE(read_gate(folder.path()).layer_was_chosen);
  const std::string text = read_file(toml, "E_TEST");
  const std::string line = fmt::format("gate_layer = {}\n", layer);
  const size_t at = text.find(line);
  ASSERT_NE(at, std::string::npos);
  write_file_atomic(toml, text.substr(0, at) + text.substr(at + line.size()));
  EXPECT_EQ(read_gate(folder.path()).gate.layer(), layer) << "an older file";
  write_file_atomic(toml, text.substr(0, at) + "gate_layer = 77\n" + text.substr(at + line.size()));
  try {
    read_gate(folder.path());
    FAIL() << "no refusal";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_GATE");
    EXPECT_THAT(error.what(), ::testing::HasSubstr("gate_layer"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("is 77, the deepest"));
  }
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
  const fs::path tensors = registry::gate_folder(folder.path()) / "gate.safetensors";
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

TEST(GateFile, AValueOfAnotherTypeOrAnUnknownWordIsTheFilesFault) {
  const TemporaryFolder folder;
  write_gate(folder.path(), sample_gate());
  const fs::path toml = registry::gate_file(folder.path());
  const std::string good = read_file(toml, "E_TEST");
  const std::pair<const char*, const char*> changes[] = {
      {"fusion = ", "fusion = \"mean\" #"},
      {"[objective]\n", "[objective]\nentropy_sign = \"up\"\n"},
      {"[data]\n", "[data]\nzzz = 1\n"},
      {"[metrics]\n", "[metrics]\nreplay_sha256 = 1\n"},
      {"[metrics]\n", "[metrics]\nentropy_percentiles = [\"a\"]\n"},
      {"[metrics]\n", "[metrics]\ngrowth = 1\n"},
      {"[metrics]\n", "[metrics]\nprofile = 1\n"},
      {"\n[metrics.expert_accuracy]\na = 0.5\n", "expert_accuracy = 1\n"}};
  for (const auto& [from, to] : changes) {
    std::string text = good;
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from << " is not in\n" << good;
    write_file_atomic(toml, text.replace(at, std::string_view(from).size(), to));
    try {
      read_gate(folder.path());
      ADD_FAILURE() << to << " was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_GATE") << to << ": " << error.what();
      EXPECT_THAT(error.what(), ::testing::HasSubstr("gate.toml")) << to;
    }
  }
}

TEST(HeldOutFile, RoundTripsAndFindsByText) {
  const TemporaryFolder folder;
  training::HeldOutLogits logits;
  logits.texts = {sha256("one"), sha256("two")};
  logits.logits = at::tensor({1.0F, 2.0F, 3.0F, 4.0F}).view({2, 2});
  const fs::path file = registry::held_out_file(folder.path(), std::string(64, 'f'));
  EXPECT_FALSE(training::read_held_out(file, 2));
  training::write_held_out(file, logits);
  const auto read = training::read_held_out(file, 2);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->find(sha256("two")), 1);
  EXPECT_FALSE(read->find(sha256("three")));
  EXPECT_TRUE(read->logits.equal(logits.logits));
  EXPECT_THROW(training::read_held_out(file, 3), Error) << "another class count";
}

}  // namespace
}  // namespace moecollab::pipeline
