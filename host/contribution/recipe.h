// How an expert is trained: what a user asks for, what that and the kind come to, and the record of
// it in the trained package's provenance. Torch-free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/compute.h"
#include "base/json.h"
#include "encoder/pooling.h"
#include "registry/manifest.h"

namespace moecollab::contribution {

enum class RateSchedule { kConstant, kLinear };
enum class ClassWeights { kNone, kBalanced };  // balanced: rare labels count more
enum class WeightType { kF32, kBf16 };         // of a package's weights

// Their words, and back: these throw E_CONFIG "WHAT is WORD, expected …".
const char* name(RateSchedule schedule);
const char* name(ClassWeights weights);
const char* name(WeightType type);
RateSchedule parse_rate_schedule(std::string_view word, std::string_view what);
ClassWeights parse_class_weights(std::string_view word, std::string_view what);
WeightType parse_weight_type(std::string_view word, std::string_view what);

// What no kind states.
struct RecipeChoices {
  ClassWeights class_weights = ClassWeights::kNone;
  WeightType weights = WeightType::kF32;
  std::vector<int64_t> layers;  // of the encoder, which the expert reads; empty: the kind's default
  std::optional<encoder::Pooling> pooling;  // none: the kind's default
  bool refit = true;                        // at last learn the held-out texts too
};

// What a user asks for. None: what the kind's manifest says under [training], or else the default
// of ExpertRecipe.
struct RecipeOverrides : RecipeChoices {
  std::optional<int32_t> epochs, patience, folds;
  std::optional<int64_t> batch;
  std::optional<double> lr, warmup, clip;
  std::optional<RateSchedule> schedule;
  std::optional<Precision> precision;  // none: also what the kind's comes to on this CPU
};

// What an expert was, or is to be, trained by.
struct ExpertRecipe : RecipeChoices {
  int32_t epochs = 60;   // at most
  int32_t patience = 5;  // epochs without a better one before it stops
  int32_t folds = 1;  // whose models answer the texts they did not learn from; 1: the held-out ones
  int64_t batch = 32;  // texts of a step
  double lr = 3e-4;    // of AdamW
  double warmup = 0;   // share of the steps over which the rate rises
  double clip = 0;     // largest norm of a step's gradients; 0: any
  RateSchedule schedule = RateSchedule::kConstant;
  std::optional<Precision> precision;  // none: a package of an earlier version, which did not say
  bool bucket = false;                 // texts of similar length share a step; the kind's alone

  // Trains again by this recipe, whatever else the kind says now.
  RecipeOverrides overrides() const;
};

// Whether the encoder's states are kept as bfloat16 while an expert learns by it: if its products
// are of such numbers.
bool has_bf16_states(const ExpertRecipe& recipe);

// The overrides before the kind's [training] before the defaults. Throws E_CONFIG for a schedule of
// the kind that is none.
ExpertRecipe resolve(const RecipeOverrides& asked, const registry::TrainingTable& kind);

// `recipe` of a package's [provenance]. from_json throws E_REG_SCHEMA naming the key that is
// missing or of another type.
Json to_json(const ExpertRecipe& recipe);
ExpertRecipe recipe_from_json(const Json& recipe);

}  // namespace moecollab::contribution
