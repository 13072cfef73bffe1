#include "cluster/launch.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace moecollab::cluster {
namespace {

using ::testing::HasSubstr;

// The environment of a launcher, as long as it lives.
class Environment {
 public:
  explicit Environment(std::vector<std::pair<const char*, const char*>> variables)
      : variables_(std::move(variables)) {
    for (const auto& [name, value] : variables_) ::setenv(name, value, /*overwrite=*/1);
  }
  ~Environment() {
    for (const auto& [name, value] : variables_) ::unsetenv(name);
  }

 private:
  std::vector<std::pair<const char*, const char*>> variables_;
};

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code() + ": " + error.what();
  }
  return "";
}

TEST(Launched, NobodyUnlessALauncherSaysSo) {
  EXPECT_FALSE(launched());
  EXPECT_EQ(unconnected(), 1);
  const Environment job({{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "1"}});
  EXPECT_FALSE(launched());
  EXPECT_EQ(unconnected(), 4) << "srun does not connect them";
}

TEST(Launched, ByMpirunAndBySlurm) {
  {
    const Environment mpirun({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}});
    ASSERT_TRUE(launched());
    EXPECT_EQ(launched()->rank, 2);
    EXPECT_EQ(launched()->size, 4);
  }
  const Environment srun({{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "3"}});
  ASSERT_TRUE(launched());
  EXPECT_EQ(launched()->size, 3);
  EXPECT_EQ(unconnected(), 1);
}

TEST(Launched, WhatMakesNoSenseIsRefused) {
  for (const auto& [rank, size] : std::vector<std::pair<const char*, const char*>>{
           {"1", "1"}, {"0", "0"}, {"-1", "2"}, {"0", "two"}, {"", "2"}, {"0", "2 "}}) {
    const Environment mpirun({{"OMPI_COMM_WORLD_RANK", rank}, {"OMPI_COMM_WORLD_SIZE", size}});
    EXPECT_THAT(refusal([] { launched(); }), HasSubstr("E_DIST: OMPI_COMM_WORLD_"))
        << rank << " of " << size;
  }
}

TEST(OpenTeam, MoreRanksThanShardsAreRefused) {
  EXPECT_THAT(refusal([] {
                open_team({0, 9}, {});
              }),
              HasSubstr("E_CONFIG: 9 ranks were started, and work comes in 8 shards"));
}

TEST(OpenTeam, OneRankNeedsNoMpi) {
  const std::unique_ptr<Team> team = open_team({0, 1}, {});
  EXPECT_EQ(team->size(), 1);
  EXPECT_EQ(team->exchange("a", "b"), std::vector<std::string>{"b"});
  team->finish();
}

}  // namespace
}  // namespace moecollab::cluster
