#include "evaluation/routing_probes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/diagnosis.h"
#include "torch/toy_registry.h"

namespace moecollab::evaluation {
namespace {

std::vector<std::string> some_texts() {
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) texts.push_back(i % 2 == 0 ? "good film number" : "court rule");
  return texts;
}

// Shares by the first letter of the text: c goes to the second expert.
at::Tensor by_letter(std::span<const std::string_view> texts) {
  at::Tensor shares = at::zeros({std::ssize(texts), 2});
  for (size_t i = 0; i < texts.size(); ++i)
    shares[static_cast<int64_t>(i)][texts[i].starts_with('c') ? 1 : 0] = 1.0F;
  return shares;
}

TEST(NearDuplicates, DifferInAStopOrTwoLetters) {
  EXPECT_THAT(near_duplicates("a fine film"),
              ::testing::ElementsAre("a fine film.", "a fnie film"));
  EXPECT_THAT(near_duplicates("so it is."), ::testing::ElementsAre("so it is", "so it is."));
  EXPECT_THAT(near_duplicates("."), ::testing::ElementsAre("..", "."));
}

TEST(RoutingProbes, OfASteadyGateAreZero) {
  const RoutingProbes probes = probe_routing(some_texts(), {0, 1}, by_letter);
  EXPECT_EQ(probes.texts, 40);
  EXPECT_EQ(probes.edits, 80);
  EXPECT_EQ(probes.batch_change, 0);
  EXPECT_EQ(probes.edits_moved, 0);
}

// A defect on purpose: a text that is alone goes to the first expert.
TEST(RoutingProbes, FindRoutingThatChangesWithTheBatch) {
  const RoutingProbes probes =
      probe_routing(some_texts(), {0, 1}, [](std::span<const std::string_view> texts) {
        at::Tensor shares = by_letter(texts);
        if (texts.size() == 1) shares = at::tensor({1.0F, 0.0F}).view({1, 2});
        return shares;
      });
  EXPECT_EQ(probes.batch_change, 1);
  EXPECT_EQ(probes.batch_moved, 0.5);
}

// A gate by the parity of the length: every full stop sends a text elsewhere, no exchange does.
TEST(RoutingProbes, FindNearDuplicatesThatAreRoutedElsewhere) {
  const auto by_length = [](std::span<const std::string_view> texts) {
    at::Tensor shares = at::zeros({std::ssize(texts), 2});
    for (size_t i = 0; i < texts.size(); ++i)
      shares[static_cast<int64_t>(i)][static_cast<int64_t>(texts[i].size() % 2)] = 1.0F;
    return shares;
  };
  EXPECT_EQ(probe_routing(some_texts(), {0, 1}, by_length).edits_moved, 0.5);
  EXPECT_EQ(probe_routing(some_texts(), {0, 0}, by_length).edits_moved, 0) << "one label space";
}

// The real encoder: rows do not depend on their batch.
TEST(RoutingProbes, OfACollaboration) {
  const moecollab::testing::TinyEncoder tiny;
  moecollab::testing::ToyRegistry toy(tiny);
  pipeline::Pool pool(toy.options());
  pipeline::Collaboration asked(pool, pipeline::open_gate(toy.gate_for(pool), pool),
                                fusion::Mode::kMixture, 0);
  data::Dataset films{"films", "films.jsonl", "aa", {}};
  for (const std::string& text : some_texts()) films.examples.push_back({text, "no", 1});
  const RoutingProbes probes = probe_routing(asked, {films});
  EXPECT_EQ(probes.texts, 32) << "of 40";
  EXPECT_LT(probes.batch_change, kBatchChange);
}

}  // namespace
}  // namespace moecollab::evaluation
