// How experts are trained, as it is asked for and as it is recorded.
#include "contribution/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab::contribution {
namespace {

std::string refusal(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.code() + ": " + error.what();
  }
  return "";
}

// Every value another than its default.
ExpertRecipe sample() {
  ExpertRecipe recipe;
  recipe.class_weights = ClassWeights::kBalanced;
  recipe.weights = WeightType::kBf16;
  recipe.layers = {0, -1};
  recipe.pooling = encoder::Pooling::kCls;
  recipe.refit = false;
  recipe.epochs = 7;
  recipe.patience = 2;
  recipe.folds = 5;
  recipe.batch = 16;
  recipe.lr = 0.1;
  recipe.warmup = 0.06;
  recipe.clip = 1;
  recipe.schedule = RateSchedule::kLinear;
  recipe.precision = Precision::kBf16;
  return recipe;
}

constexpr const char* kSampleLine =
    R"({"epochs":7,"batch":16,"lr":0.1,"warmup":0.06,"schedule":"linear","clip":1.0,)"
    R"("precision":"bf16","patience":2,"folds":5,"class_weights":"balanced","weights":"bf16",)"
    R"("layers":[0,-1],"pooling":"cls","refit":false})";

TEST(Recipe, TheRecordHoldsEveryValueInItsOrder) {
  EXPECT_EQ(to_line(to_json(sample())), kSampleLine);
  EXPECT_EQ(to_line(to_json(recipe_from_json(parse_json(kSampleLine)))), kSampleLine);
}

TEST(Recipe, ItsOverridesTrainAgainByItWhateverTheKindSays) {
  registry::TrainingTable kind;
  kind.epochs = 99;
  kind.lr = 9;
  kind.schedule = "constant";
  kind.bucket = true;
  const ExpertRecipe again = resolve(sample().overrides(), kind);
  EXPECT_EQ(to_line(to_json(again)), kSampleLine);
  EXPECT_TRUE(again.bucket) << "the kind's alone";
}

TEST(Recipe, WhatIsAskedForComesBeforeTheKindAndThatBeforeTheDefaults) {
  registry::TrainingTable kind;
  kind.epochs = 4;
  kind.batch = 8;
  kind.schedule = "linear";
  kind.precision = "bf16";
  RecipeOverrides asked;
  asked.epochs = 9;
  const ExpertRecipe recipe = resolve(asked, kind);
  EXPECT_EQ(recipe.epochs, 9);
  EXPECT_EQ(recipe.batch, 8);
  EXPECT_EQ(recipe.schedule, RateSchedule::kLinear);
  EXPECT_EQ(recipe.precision, Precision::kBf16);
  EXPECT_EQ(recipe.lr, 3e-4);
  EXPECT_EQ(recipe.patience, 5);
}

TEST(Recipe, PackagesOfEarlierVersionsStateLess) {
  Json json = parse_json(kSampleLine);
  for (const char* key : {"precision", "weights", "refit"}) json.erase(key);
  const ExpertRecipe recipe = recipe_from_json(json);
  EXPECT_EQ(recipe.precision, std::nullopt);
  EXPECT_EQ(recipe.weights, WeightType::kF32);
  EXPECT_TRUE(recipe.refit);
}

TEST(Recipe, NoPoolingIsAnEmptyWord) {
  Json json = parse_json(kSampleLine);
  json["pooling"] = "";
  EXPECT_EQ(recipe_from_json(json).pooling, std::nullopt);
  EXPECT_EQ(to_json(recipe_from_json(json)), json);
}

TEST(Recipe, WhatIsNoRecipeIsRefused) {
  Json json = parse_json(kSampleLine);
  json["pooling"] = "max";
  EXPECT_THAT(
      refusal([&] { recipe_from_json(json); }),
      testing::AllOf(testing::StartsWith("E_REG_SCHEMA"), testing::HasSubstr("mean or cls")));
  json["pooling"] = "cls";
  json.erase("lr");
  EXPECT_THAT(refusal([&] { recipe_from_json(json); }),
              testing::AllOf(testing::StartsWith("E_REG_SCHEMA"), testing::HasSubstr("recipe.lr")));
  EXPECT_THAT(refusal([] { parse_class_weights("some", "--class-weights"); }),
              "E_CONFIG: --class-weights is some, expected none or balanced");
}

}  // namespace
}  // namespace moecollab::contribution
