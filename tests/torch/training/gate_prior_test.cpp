#include "training/gate_prior.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

const std::vector<std::string> kNames = {"early", "late", "other"};

std::vector<double> prior_of(const GateToy& toy, const std::string& prior) {
  return make_prior(prior, kNames, toy.experts, toy.labels, toy.data);
}

TEST(GatePrior, UniformIsOneOverE) {
  for (const double share : prior_of(GateToy(), "uniform")) EXPECT_NEAR(share, 1.0 / 3, 1e-12);
}

// 30 texts of a/1 for two experts, 10 of b/1 for one: (15, 15, 10) / 40.
TEST(GatePrior, DataSharesASpacesTextsAmongItsExperts) {
  GateToy toy(40);
  toy.data.held_out.targets = at::cat({at::zeros({30}, at::kLong), at::full({10}, 3, at::kLong)});
  const std::vector<double> prior = prior_of(toy, "data");
  EXPECT_NEAR(prior[0], 0.375, 1e-12);
  EXPECT_NEAR(prior[1], 0.375, 1e-12);
  EXPECT_NEAR(prior[2], 0.25, 1e-12);
  toy.data.held_out.targets = at::zeros({40}, at::kLong);
  EXPECT_THROW(prior_of(toy, "data"), Error) << "nothing of b/1: the KL would be infinite";
}

TEST(GatePrior, AFileIsScaledToSumOne) {
  const TemporaryFolder folder;
  const std::string toml = folder.path() / "p.toml", json = folder.path() / "p.json";
  write_file_atomic(toml, "early = 1\nlate = 1.0\nother = 2\n");
  write_file_atomic(json, R"({"other": 2, "late": 1, "early": 1})");
  for (const std::string& file : {toml, json}) {
    const std::vector<double> prior = prior_of(GateToy(), file);
    EXPECT_EQ(prior, (std::vector<double>{0.25, 0.25, 0.5})) << file;
  }
}

TEST(GatePrior, RefusesWhatIsNoShareForEachExpert) {
  const TemporaryFolder folder;
  const std::string file = folder.path() / "p.toml";
  const auto message = [&](const std::string& text) -> std::string {
    write_file_atomic(file, text);
    try {
      prior_of(GateToy(), file);
    } catch (const Error& error) {
      EXPECT_TRUE(error.code().starts_with("E_CONFIG")) << error.code();
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(message("early = 1\nlate = 1\n").find("`other` is missing"), std::string::npos);
  EXPECT_NE(message("early = 1\nlate = 1\nother = 0\n").find("`other` is 0"), std::string::npos);
  EXPECT_NE(message("early = 1\nlate = 1\nother = \"x\"\n").find("`other`"), std::string::npos);
  EXPECT_NE(message("early = 1\nlate = 1\nother = 1\nerly = 1\n").find("did you mean `early`"),
            std::string::npos);
  EXPECT_NE(message("early = = 1\n").find("p.toml"), std::string::npos);
  EXPECT_THROW(prior_of(GateToy(), "unifrom"), Error);
}

// A file or folder of that name plays no part.
TEST(GatePrior, OnlyAFileHasADigest) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "p.toml";
  for (const char* word : {"uniform", "data"}) EXPECT_EQ(prior_digest(word), "");
  EXPECT_EQ(prior_digest(file.string()), "none");
  write_file_atomic(file, "early = 1\n");
  EXPECT_EQ(prior_digest(file.string()).size(), 64U);
  EXPECT_THROW(prior_digest(folder.path().string()), Error);
}

}  // namespace
}  // namespace moecollab::training
