#include "contribution/recipe.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"

namespace moecollab::contribution {
namespace {

template <typename Value>
using Words = std::array<std::pair<Value, const char*>, 2>;

constexpr Words<RateSchedule> kSchedules = {
    {{RateSchedule::kConstant, "constant"}, {RateSchedule::kLinear, "linear"}}};
constexpr Words<ClassWeights> kClassWeights = {
    {{ClassWeights::kNone, "none"}, {ClassWeights::kBalanced, "balanced"}}};
constexpr Words<WeightType> kWeightTypes = {
    {{WeightType::kF32, "f32"}, {WeightType::kBf16, "bf16"}}};

template <typename Value>
const char* word_of(Value value, const Words<Value>& words) {
  return words[value == words[0].first ? 0 : 1].second;
}

template <typename Value>
Value parse(std::string_view word, std::string_view what, const Words<Value>& words) {
  for (const auto& [value, known] : words) {
    if (word == known) return value;
  }
  throw Error("E_CONFIG", fmt::format("{} is {}, expected {} or {}", what, escaped(word, 40),
                                      words[0].second, words[1].second));
}

}  // namespace

const char* name(RateSchedule schedule) { return word_of(schedule, kSchedules); }
const char* name(ClassWeights weights) { return word_of(weights, kClassWeights); }
const char* name(WeightType type) { return word_of(type, kWeightTypes); }

RateSchedule parse_rate_schedule(std::string_view word, std::string_view what) {
  return parse(word, what, kSchedules);
}
ClassWeights parse_class_weights(std::string_view word, std::string_view what) {
  return parse(word, what, kClassWeights);
}
WeightType parse_weight_type(std::string_view word, std::string_view what) {
  return parse(word, what, kWeightTypes);
}

RecipeOverrides ExpertRecipe::overrides() const {
  RecipeOverrides all;
  static_cast<RecipeChoices&>(all) = *this;
  all.epochs = epochs;
  all.patience = patience;
  all.folds = folds;
  all.batch = batch;
  all.lr = lr;
  all.warmup = warmup;
  all.clip = clip;
  all.schedule = schedule;
  all.precision = precision;
  return all;
}

ExpertRecipe resolve(const RecipeOverrides& asked, const registry::TrainingTable& kind) {
  ExpertRecipe recipe;
  static_cast<RecipeChoices&>(recipe) = asked;
  const auto choose = [](auto& value, const auto& given, const auto& kinds) {
    using Value = std::remove_reference_t<decltype(value)>;
    if (given) {
      value = *given;
    } else if (kinds) {
      value = static_cast<Value>(*kinds);
    }
  };
  choose(recipe.epochs, asked.epochs, kind.epochs);
  choose(recipe.patience, asked.patience, kind.patience);
  choose(recipe.folds, asked.folds, kind.folds);
  choose(recipe.batch, asked.batch, kind.batch);
  choose(recipe.lr, asked.lr, kind.lr);
  choose(recipe.warmup, asked.warmup, kind.warmup);
  choose(recipe.clip, asked.clip, kind.clip);
  if (asked.schedule) {
    recipe.schedule = *asked.schedule;
  } else if (kind.schedule) {
    recipe.schedule = parse_rate_schedule(*kind.schedule, "the kind's schedule");
  }
  recipe.precision =
      asked.precision ? *asked.precision : resolve_training_precision(kind.precision);
  recipe.bucket = kind.bucket.value_or(false);
  return recipe;
}

bool has_bf16_states(const ExpertRecipe& recipe) { return recipe.precision == Precision::kBf16; }

Json to_json(const ExpertRecipe& recipe) {
  Json json = {{"epochs", recipe.epochs},
               {"batch", recipe.batch},
               {"lr", recipe.lr},
               {"warmup", recipe.warmup},
               {"schedule", name(recipe.schedule)},
               {"clip", recipe.clip}};
  if (recipe.precision) json["precision"] = name(*recipe.precision);
  json["patience"] = recipe.patience;
  if (recipe.folds != 1) json["folds"] = recipe.folds;
  json["class_weights"] = name(recipe.class_weights);
  json["weights"] = name(recipe.weights);
  json["layers"] = recipe.layers;
  json["pooling"] = recipe.pooling ? encoder::name(*recipe.pooling) : "";
  json["refit"] = recipe.refit;
  return json;
}

ExpertRecipe recipe_from_json(const Json& json) {
  Fields fields(json, {registry::kManifestFile, "E_REG_SCHEMA"}, "provenance.recipe");
  ExpertRecipe recipe;
  recipe.epochs = static_cast<int32_t>(fields.required<int64_t>("epochs"));
  recipe.batch = fields.required<int64_t>("batch");
  recipe.lr = fields.required<double>("lr");
  recipe.warmup = fields.required<double>("warmup");
  recipe.schedule = parse_rate_schedule(fields.required<std::string>("schedule"),
                                        "the schedule of provenance.recipe");
  recipe.clip = fields.required<double>("clip");
  if (const auto precision = fields.optional<std::string>("precision"))
    recipe.precision = parse_precision(*precision, "the recipe's precision");
  recipe.patience = static_cast<int32_t>(fields.required<int64_t>("patience"));
  recipe.folds = static_cast<int32_t>(fields.value_or<int64_t>("folds", 1));
  recipe.class_weights = parse_class_weights(fields.required<std::string>("class_weights"),
                                             "class_weights of provenance.recipe");
  recipe.weights = parse_weight_type(fields.value_or("weights", std::string("f32")),
                                     "weights of provenance.recipe");
  recipe.layers = fields.required<std::vector<int64_t>>("layers");
  const auto pooling = fields.required<std::string>("pooling");
  recipe.pooling = encoder::parse_pooling(pooling);
  if (!recipe.pooling && !pooling.empty()) fields.fail("pooling", "is not mean or cls");
  recipe.refit = fields.value_or("refit", true);
  return recipe;
}

}  // namespace moecollab::contribution
