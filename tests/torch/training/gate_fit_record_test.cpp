#include "training/gate_fit_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"

namespace moecollab::training {
namespace {

pipeline::GateFile gate_of_two() {
  pipeline::GateFile file;
  file.gate = gate::make_gate({{1, encoder::Pooling::kMean}, {6, encoder::Pooling::kMean}},
                              at::sin(at::arange(40, at::kFloat)).view({10, 4}), 2);
  file.rows = {{"a", "org.a", "1.0.0", std::string(64, 'a'), 1.0, true},
               {"b", "org.b", "1.0.0", std::string(64, 'b'), 1.5, true}};
  file.encoder_fingerprint = std::string(64, 'e');
  return file;
}

GateFitRecord sample_record() {
  GateFitRecord record;
  GateTrainingOptions& s = record.settings;
  s.objective = {.lambda1 = 0.25, .lambda2 = 0.5, .entropy_sign = gate::EntropySign::kExplore};
  s.fusion = fusion::Mode::kLogitUnion;
  s.top_k = 1;
  s.epochs = 17;
  s.lr = 0.125;
  s.weight_decay = 0.75;
  s.batch = 9;
  s.seed = 5;
  s.optimizer = GateOptimizer::kLbfgs;
  s.hidden = 11;
  s.prior_source = "data";
  s.prior = {0.25, 0.75};
  s.calibrate = true;
  s.keep_replay = 3;
  s.guard = false;
  record.texts = 10;
  record.epochs = 4;
  record.skipped_steps = 1;
  record.task = 0.5;
  record.total = 1.5;
  record.expert_accuracy = {{"b", 0.5}, {"a", 0.25}};
  record.entropy_percentiles = {0.0, 0.5};
  record.validation_task = 0.625;
  record.share_guards = {
      {"b", {.expert = 0, .texts = 7, .best = .75, .before = .5, .after = .625, .pull = 2}}};
  record.profiles["mood/1"].add(std::vector<std::string>{"a", "b"}, std::vector{0.75, 0.25},
                                "mood/1: sad");
  record.replay_sha256 = std::string(64, 'f');
  return record;
}

TEST(GateFitRecord, ComesBackFromTheFile) {
  const TemporaryFolder folder;
  const GateFitRecord written = sample_record();
  pipeline::GateFile file = gate_of_two();
  write_record(written, file);
  pipeline::write_gate(folder.path(), file);
  const GateFitRecord read = read_record(pipeline::read_gate(folder.path()));
  const GateTrainingOptions& s = read.settings;
  EXPECT_EQ(s.objective.lambda1, 0.25);
  EXPECT_EQ(s.objective.entropy_sign, gate::EntropySign::kExplore);
  EXPECT_EQ(s.fusion, fusion::Mode::kLogitUnion);
  EXPECT_EQ(s.top_k, 1);
  EXPECT_EQ(s.layers, (std::vector<int64_t>{1, 6})) << "those of the gate";
  EXPECT_EQ(s.epochs, 17);
  EXPECT_EQ(s.lr, 0.125);
  EXPECT_EQ(s.weight_decay, 0.75);
  EXPECT_EQ(s.batch, 9);
  EXPECT_EQ(s.seed, 5U);
  EXPECT_EQ(s.optimizer, GateOptimizer::kLbfgs);
  EXPECT_EQ(s.gate, GateKind::kLinear);
  EXPECT_EQ(s.hidden, 11);
  EXPECT_EQ(s.prior_source, "data");
  EXPECT_EQ(s.prior, written.settings.prior);
  EXPECT_TRUE(s.calibrate);
  EXPECT_EQ(s.keep_replay, 3);
  EXPECT_EQ(read.texts, 10);
  EXPECT_EQ(read.epochs, 4);
  EXPECT_EQ(read.skipped_steps, 1);
  EXPECT_EQ(read.task, 0.5);
  EXPECT_EQ(read.total, 1.5);
  EXPECT_THAT(read.expert_accuracy, ::testing::UnorderedElementsAreArray(written.expert_accuracy));
  EXPECT_EQ(read.entropy_percentiles, written.entropy_percentiles);
  EXPECT_EQ(to_json(read.profiles), to_json(written.profiles));
  EXPECT_EQ(read.validation_task, written.validation_task);
  EXPECT_FALSE(s.guard);
  EXPECT_EQ(read.share_guards, written.share_guards);
  EXPECT_EQ(read.replay_sha256, written.replay_sha256);
}

TEST(GateFitRecord, AChosenTopKIsTheFilesAndIsChosenAgainByTheNextFit) {
  const TemporaryFolder folder;
  GateFitRecord record = sample_record();
  record.settings.top_k = 0;
  record.settings.choose_top_k = true;
  for (const int64_t k : {1, 2}) {
    record.top_k_choice = TopKChoice{k, 10, {0.5, 0.75}};
    pipeline::GateFile file = gate_of_two();
    write_record(record, file);
    pipeline::write_gate(folder.path(), file);
    file = pipeline::read_gate(folder.path());
    EXPECT_EQ(file.top_k, k == 2 ? 0 : 1) << "0: both";
    const GateFitRecord read = read_record(file);
    EXPECT_TRUE(read.settings.choose_top_k);
    EXPECT_EQ(read.settings.top_k, 0) << "the next fit is dense too";
    ASSERT_TRUE(read.top_k_choice);
    EXPECT_EQ(read.top_k_choice->top_k, k);
    EXPECT_EQ(read.top_k_choice->texts, 10);
    EXPECT_EQ(read.top_k_choice->accuracy, (std::vector<double>{0.5, 0.75}));
  }
}

TEST(GateFitRecord, WhatAnEarlierVersionDidNotWriteHasItsDefault) {
  pipeline::GateFile file = gate_of_two();
  file.metrics = nullptr;
  CollectingLog log{Log()};
  const GateTrainingOptions settings = settings_of(file, log.log());
  EXPECT_EQ(settings.epochs, GateTrainingOptions().epochs);
  EXPECT_EQ(settings.optimizer, GateOptimizer::kAdamW);
  ASSERT_EQ(log.texts().size(), 1U);
  EXPECT_NE(log.texts()[0].find("earlier version"), std::string::npos) << log.texts()[0];
  file.fit = {{"epochs", 3}, {"of_a_later_version", 1}};
  file.metrics = {{"growth", Json::array()}};
  EXPECT_EQ(settings_of(file, log.log()).epochs, 3);
  EXPECT_EQ(log.texts().size(), 1U) << "its settings are there: nothing to say";
}

TEST(GateFitRecord, AValueOfAnotherTypeIsRefusedByName) {
  for (const auto& [table, key] : {std::pair("fit", "epochs"), std::pair("metrics", "texts"),
                                   std::pair("metrics", "entropy_percentiles")}) {
    pipeline::GateFile file = gate_of_two();
    (std::string(table) == "fit" ? file.fit : file.metrics)[key] = Json::array({"many"});
    try {
      read_record(file);
      ADD_FAILURE() << key;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_GATE") << error.what();
      EXPECT_NE(std::string(error.what()).find(key), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace moecollab::training
