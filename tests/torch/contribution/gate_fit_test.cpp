// A gate fitted and written below the command line, over the experts of a kept registry.
#include "contribution/gate_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "evaluation/run.h"
#include "pipeline/expert_list.h"

namespace moecollab::contribution {
namespace {

struct GateFitTest : ::testing::Test {
  GateFitTest() {
    fs::copy(fs::path(MOECOLLAB_SOURCE_DIR) / "tests" / "data" / "registry-0.3.0", folder.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }
  pipeline::PoolOptions options() const {
    pipeline::PoolOptions options;
    options.registry = folder.path() / "registry";
    return options;
  }
  data::Dataset dataset(const std::string& domain, const char* split = "train") const {
    return data::read_dataset(domain,
                              folder.path() / "data" / domain / (std::string(split) + ".jsonl"));
  }
  pipeline::GateFile read() const { return pipeline::read_gate(options().registry); }
  std::vector<std::pair<std::string, registry::State>> states() const {
    std::vector<std::pair<std::string, registry::State>> states;
    for (const auto& view : pipeline::list_experts(pipeline::Pool(options())))
      states.emplace_back(view.name, view.state);
    return states;
  }

  TemporaryFolder folder;
};

TEST_F(GateFitTest, AGateIsWrittenWithItsRecordAndFittedAgainFromItsSettings) {
  pipeline::Pool pool(options());
  const std::vector<data::Dataset> datasets = {dataset("weather"), dataset("food"),
                                               dataset("music")};
  training::GateTrainingOptions settings = training::settings_of(read(), Log());
  settings.objective.lambda2 = 0.125;
  settings.calibrate = true;
  const FittedGate fitted = fit_and_write_gate(pool, datasets, settings);
  const pipeline::GateFile file = read();
  ASSERT_EQ(file.rows.size(), 3U);
  EXPECT_EQ(file.rows[2].name, "music-linear");
  ASSERT_EQ(fitted.calibration.size(), 3U);
  EXPECT_EQ(file.rows[0].temperature, fitted.calibration[0].temperature);
  EXPECT_TRUE(file.gate.weight.equal(fitted.file.gate.weight));
  const training::GateFitRecord record = training::read_record(file);
  EXPECT_EQ(record.task, fitted.record.task);
  EXPECT_THAT(record.expert_accuracy,
              ::testing::UnorderedElementsAreArray(fitted.record.expert_accuracy));
  EXPECT_EQ(record.settings.objective.lambda2, 0.125);
  EXPECT_EQ(record.replay_sha256.size(), 64U) << "the settings keep rows";
  EXPECT_TRUE(fs::exists(options().registry / "gate" / "history.jsonl"));
  EXPECT_FALSE(fitted.history.empty());

  const FittedGate again = fit_and_write_gate(pool, datasets, training::settings_of(read(), Log()));
  EXPECT_TRUE(again.file.gate.weight.equal(fitted.file.gate.weight)) << "the same fit";
  EXPECT_EQ(again.record.replay_sha256, fitted.record.replay_sha256);
}

TEST_F(GateFitTest, RefusedSettingsLeaveTheGateThatIsThere) {
  pipeline::Pool pool(options());
  training::GateTrainingOptions settings;
  settings.layers = {3};
  const std::string before = read_file(options().registry / "gate" / "gate.toml", "E_TEST");
  try {
    fit_and_write_gate(pool, {dataset("weather")}, settings);
    ADD_FAILURE() << "the encoder has two layers";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_CONFIG");
    EXPECT_THAT(error.what(), ::testing::HasSubstr("layers has 3"));
  }
  EXPECT_EQ(read_file(options().registry / "gate" / "gate.toml", "E_TEST"), before);
}

TEST_F(GateFitTest, AnExpertWithoutARowIsListedAsUnrouted) {
  using registry::State;
  EXPECT_THAT(states(), ::testing::ElementsAre(::testing::Pair("weather-lexical", State::kReady),
                                               ::testing::Pair("food-adapter", State::kReady),
                                               ::testing::Pair("music-linear", State::kUnrouted)));
  fs::remove_all(options().registry / "gate");
  for (const auto& [name, state] : states()) EXPECT_EQ(state, State::kUnrouted) << name;
}

// The gate knows weather and food; the message names what nobody of it answers in.
TEST_F(GateFitTest, ADomainThatNoExpertOfTheGateAnswersIsNamedByItsSpace) {
  pipeline::Pool pool(options());
  const pipeline::GateFile gate = read();
  pipeline::Collaboration collaboration(pool, pipeline::open_gate(gate, pool), gate.fusion,
                                        gate.top_k);
  evaluation::Baselines none;
  EXPECT_EQ(evaluation::run_domain(collaboration, gate, dataset("food", "dev"), none,
                                   evaluation::Arrangement::kShared, 1)
                .best_expert,
            "food-adapter");
  try {
    evaluation::run_domain(collaboration, gate, dataset("music", "dev"), none,
                           evaluation::Arrangement::kShared, 1);
    ADD_FAILURE() << "judged";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_GATE");
    EXPECT_THAT(error.what(), ::testing::HasSubstr("music/1"));
  }
}

}  // namespace
}  // namespace moecollab::contribution
