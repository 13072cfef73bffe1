#include "training/text_collection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/toy_pool.h"
#include "training/held_out_file.h"

namespace moecollab::training {
namespace {

using ::testing::ElementsAre;
using Toy = moecollab::testing::ToyPool;

// Three texts about films and one of a court. Of the films' the first and the last are chosen, the
// last one first.
struct TextCollectionTest : ::testing::Test {
  TextCollectionTest() {
    films.domain = "films";
    films.examples = {{"one", "bad"}, {"two", "good"}, {"three", "good"}};
    courts.domain = "courts";
    courts.examples = {{"case", "none"}};
    for (pipeline::InstalledExpert& expert : toy.pool().experts()) experts.push_back(&expert);
  }
  AnsweredTexts collected() {
    return collect_answered_texts(toy.pool(), toy.pool().labels(), experts, {}, chosen);
  }

  moecollab::testing::TinyEncoder tiny;
  Toy toy{tiny};
  data::Dataset films, courts;
  std::vector<ChosenTexts> chosen = {{&films, 0, {2, 0}}, {&courts, 1, {0}}};
  std::vector<pipeline::InstalledExpert*> experts;
};

TEST_F(TextCollectionTest, EveryExpertAnswersEveryChosenText) {
  toy.expert(Toy::kJudge).answers["one"] = {7, 8, 9};
  const AnsweredTexts texts = collected();
  EXPECT_TRUE(texts.targets.equal(at::tensor({1, 0, 4}, at::kLong)));  // good, bad, none
  EXPECT_TRUE(texts.spaces.equal(at::tensor({0, 0, 1}, at::kLong)));
  EXPECT_THAT(texts.domains, ElementsAre("films", "courts"));
  EXPECT_THAT(texts.domain_of, ElementsAre(0, 0, 1));
  EXPECT_EQ(texts.z.sizes(), (std::vector<int64_t>{3, 0})) << "no gate reads them";
  for (size_t e = 0; e < experts.size(); ++e)
    EXPECT_THAT(toy.expert(e).asked, ElementsAre("three", "one", "case")) << e;
  EXPECT_TRUE(texts.logits[Toy::kJudge][1].equal(at::tensor({7.0F, 8.0F, 9.0F})));
  EXPECT_TRUE(texts.logits[Toy::kFan][2].equal(at::tensor({std::log(4.0F), 0.0F})));
}

// Nothing says that an expert did not train on the texts of its own domain.
TEST_F(TextCollectionTest, TextsOfItsOwnDomainCountAsSeen) {
  EXPECT_THAT(collected().seen, ElementsAre(2, 2, 1));
}

TEST_F(TextCollectionTest, HeldOutLogitsCountInsteadOfTheAnswer) {
  const pipeline::InstalledExpert& critic = *experts[Toy::kCritic];
  const fs::path file = registry::held_out_file(toy.pool().options().registry, critic.sha256());
  make_folder(file.parent_path());
  HeldOutLogits held_out;
  held_out.texts = {sha256("one")};
  held_out.logits = at::tensor({-1.0F, 2.0F}).view({1, 2});
  write_held_out(file, held_out);
  const AnsweredTexts texts = collected();
  EXPECT_TRUE(texts.logits[Toy::kCritic][1].equal(at::tensor({-1.0F, 2.0F})));
  EXPECT_THAT(toy.expert(Toy::kCritic).asked, ElementsAre("three", "case"));
  EXPECT_THAT(texts.seen, ElementsAre(1, 2, 1));
}

TEST_F(TextCollectionTest, ALabelOfAnotherSpaceIsAnError) {
  chosen = {{&courts, 0, {0}}};
  try {
    collected();
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DATA");
    EXPECT_THAT(error.what(), ::testing::HasSubstr("none"));
  }
}

}  // namespace
}  // namespace moecollab::training
