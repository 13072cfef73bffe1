// The verbs train-expert and train-gate.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/strings.h"
#include "cli/verb.h"
#include "encoder/encoder_folder.h"

namespace moecollab::cli {
namespace {

std::string expert_text(const Json& r) {
  const std::string accuracy =
      r["held_out_accuracy"].is_null()
          ? "no text held out"
          : fmt::format("held-out accuracy {:.3f} on {} texts",
                        r["held_out_accuracy"].get<double>(), r["held_out"].get<int64_t>());
  const auto cross_fitted = r["cross_fitted"].get<int64_t>();
  const auto teachers = r["teachers"].get<std::vector<std::string>>();
  return fmt::format(
      "{} {} trained on {} ({}): {} epoch{}, {}{}{}\n", r["name"].get<std::string>(),
      r["version"].get<std::string>(), r["domain"].get<std::string>(),
      r["label_space"].get<std::string>(), r["epochs"].get<int>(), r["epochs"] == 1 ? "" : "s",
      accuracy,
      cross_fitted == 0 ? "" : fmt::format(", {} more answered by other folds", cross_fitted),
      teachers.empty() ? "" : ", distilled from " + join(teachers, ", "));
}

std::string choice_text(const Json& choice) {
  if (choice.is_null()) return "";
  const auto k = choice["k"].get<size_t>();
  const auto accuracy = choice["accuracy"].get<std::vector<double>>();
  return fmt::format(
      "top-k auto: {} of {} experts; held-out accuracy {:.4f} against {:.4f} with all\n", k,
      accuracy.size(), accuracy.at(k - 1), accuracy.back());
}

std::string gate_text(const Json& r) {
  const std::string fitted = fmt::format(
      "gate over {} expert{} fitted on {} held-out texts in {:.1f} s ({} fusion): task loss "
      "{:.4f}; "
      "{} encoder passes, {} cached\n",
      r["experts"].get<int64_t>(), r["experts"] == 1 ? "" : "s", r["texts"].get<int64_t>(),
      r["fit_seconds"].get<double>(), r["fusion"].get<std::string>(), r["task_loss"].get<double>(),
      r["encoder_forwards"].get<int64_t>(), r["cache_hits"].get<int64_t>());
  return fitted + choice_text(r["top_k_auto"]);
}

// Flags of train-expert that are read when all arguments are known.
struct RecipeWords {
  std::vector<std::string> settings;
  std::optional<std::string> schedule, pooling;
  std::string class_weights = name(contribution::ClassWeights::kNone);
  std::string weights = name(contribution::WeightType::kF32);
  bool no_refit = false;
};

void read_words(const RecipeWords& words, contribution::ExpertOptions& expert) {
  contribution::RecipeOverrides& recipe = expert.recipe;
  recipe.class_weights = contribution::parse_class_weights(words.class_weights, "--class-weights");
  recipe.weights = contribution::parse_weight_type(words.weights, "--weights");
  if (words.schedule)
    recipe.schedule = contribution::parse_rate_schedule(*words.schedule, "--schedule");
  if (words.pooling) {
    recipe.pooling = encoder::parse_pooling(*words.pooling);
    if (!recipe.pooling) {
      throw Error("E_CONFIG", fmt::format("--pooling is {}, expected mean or cls",
                                          escaped(*words.pooling, 40)));
    }
  }
  recipe.refit = !words.no_refit;
  expert.config = parse_settings(words.settings);
}

void add_recipe(CLI::App& verb, contribution::RecipeOverrides& recipe, RecipeWords& words) {
  verb.add_option("--set", words.settings, "A setting of the kind's [config]; repeatable")
      ->type_name("KEY=VALUE");
  verb.add_option("--layers", recipe.layers,
                  "Encoder layers that it reads (0: embeddings, -1: last)");
  verb.add_option("--pooling", words.pooling, "How its tokens become one vector")
      ->type_name("mean|cls");
  verb.add_option("--epochs", recipe.epochs,
                  "Epochs at most (default of this and the next: the kind's [training])");
  verb.add_option("--lr", recipe.lr, "Learning rate of AdamW");
  verb.add_option("--batch", recipe.batch, "Texts per step");
  verb.add_option("--patience", recipe.patience, "Epochs without a better one before it stops");
  verb.add_option("--folds", recipe.folds,
                  "Parts whose texts are answered, for the gate's fit, by models that learnt the "
                  "others: 1 (the held-out fifth alone), or 5 and more");
  verb.add_option("--warmup", recipe.warmup, "Share of the steps over which the rate rises");
  verb.add_option("--schedule", words.schedule, "constant, or linear: the rate falls to 0")
      ->type_name("constant|linear");
  verb.add_option("--clip", recipe.clip, "Largest norm of a step's gradients; 0: any");
  verb.add_option("--class-weights", words.class_weights,
                  "none, or balanced: rare labels count more")
      ->type_name("none|balanced")
      ->capture_default_str();
}

void add_checkpoints(CLI::App& verb, contribution::CheckpointOptions& checkpoints) {
  verb.add_flag("--resume", checkpoints.resume, "Continue an interrupted run");
  verb.add_option("--checkpoint-seconds", checkpoints.seconds, "How often a checkpoint is written")
      ->capture_default_str();
}

}  // namespace

Json parse_settings(const std::vector<std::string>& settings) {
  Json config = Json::object();
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error("E_CONFIG", fmt::format("--set {} is not KEY=VALUE", escaped(setting, 80)));
    }
    const std::string value = setting.substr(equals + 1);
    try {
      config[setting.substr(0, equals)] = parse_json(value);
    } catch (const std::invalid_argument&) {
      config[setting.substr(0, equals)] = value;
    }
  }
  return config;
}

void add_train_expert(Program& program) {
  auto options = std::make_shared<engine::TrainExpertOptions>();
  auto words = std::make_shared<RecipeWords>();
  contribution::ExpertOptions& expert = options->expert;
  CLI::App& verb = add_verb(
      program, program.app, "train-expert", "Trains one expert on one domain and installs it",
      "moecollab train-expert news-words --kind lexical --domain news --data-dir samples/data "
      "--registry build/demo/registry");
  verb.add_option("name", expert.name, "Name of the expert: a-z, 0-9, _ and -")->required();
  verb.add_option("--kind", expert.kind,
                  "adapter, deep-adapter, lexical, or a trainable package (folder or FILE.moec)")
      ->type_name("adapter|deep-adapter|lexical|PATH")
      ->required();
  verb.add_option("--domain", expert.domain, "Domain whose training file is used")->required();
  add_recipe(verb, expert.recipe, *words);
  verb.add_option(
          "--distill", expert.distill,
          "Installed experts of the same label space: it learns what they say of texts that "
          "they did not learn, beside the labels")
      ->type_name("A,B,…")
      ->delimiter(',');
  verb.add_option("--max-length", options->max_length, "Tokens per text, of a new registry")
      ->default_str(std::to_string(encoder::kDefaultMaxLength));
  verb.add_option("--weights", words->weights, "Type of the package's weights")
      ->type_name("f32|bf16")
      ->capture_default_str();
  verb.add_flag("--no-refit", words->no_refit,
                "Leave the held-out texts out of the installed expert");
  verb.add_flag("--force", expert.force, "Install the next version if the expert exists");
  add_checkpoints(verb, expert.checkpoints);
  add_ranks(verb, program);
  learns_from_data(verb, program, options, [&program, words](auto& o) {
    read_words(*words, o.expert);
    const Json result = open_engine().train_expert(o, program.context());
    if (!program.leads()) return 0;
    print_result(program, result, expert_text(result));
    program.suggest(
        fmt::format("moecollab train-gate --registry {} --data-dir …", o.registry.string()));
    return 0;
  });
}

void add_train_rounds(Program& program) {
  auto options = std::make_shared<engine::TrainRoundsOptions>();
  CLI::App& verb = add_verb(
      program, program.app, "train",
      "Alternates: experts learn again on what the gate sends them, then the gate is fitted",
      "moecollab train --rounds 3 --data-dir samples/data --registry build/demo/registry");
  verb.add_option("--rounds", options->alternation.rounds,
                  "Rounds at most; it stops at the first that does not help")
      ->capture_default_str();
  auto* joint =
      verb.add_flag("--joint", options->alternation.joint,
                    "One round, in which experts and a gate learn from the start, end to end");
  verb.add_option("--epochs", options->alternation.epochs,
                  "Epochs of --joint; the best held-out one counts")
      ->capture_default_str()
      ->needs(joint);
  verb.add_option("--lambda1", options->lambda1,
                  "Weight of the entropy term of eq 3 (default, as all settings of the gate: those "
                  "it was fitted with)");
  verb.add_option("--lambda2", options->lambda2, "Weight of the balance term of eq 3");
  add_checkpoints(verb, options->alternation.checkpoints);
  learns_from_data(verb, program, options, [&program](const auto& o) {
    const Json result = open_engine().train_rounds(o, program.context());
    print_result(
        program, result,
        fmt::format("{} of {} rounds kept; held-out loss {:.4f}\n", result["kept"].get<int>(),
                    result["rounds"].size() - 1, result["held_out_loss"].get<double>()));
    return 0;
  });
}

void add_train_gate(Program& program) {
  auto options = std::make_shared<engine::TrainGateOptions>();
  CLI::App& verb =
      add_verb(program, program.app, "train-gate", "Fits the gate on held-out training texts",
               "moecollab train-gate --data-dir samples/data --lambda1 0.01 --lambda2 0.01 "
               "--registry build/demo/registry");
  verb.add_option("--lambda1", options->gate.objective.lambda1,
                  "Weight of the entropy term of eq 3")
      ->capture_default_str();
  verb.add_option("--lambda2", options->gate.objective.lambda2,
                  "Weight of the balance term of eq 3")
      ->capture_default_str();
  add_top_k_or_auto(verb, options->gate);
  add_gate_fit(verb, options->gate);
  verb.add_option("--keep-replay", options->gate.keep_replay,
                  "Texts of each domain whose features, labels and logits are kept for `grow`")
      ->capture_default_str();
  add_ranks(verb, program);
  learns_from_data(verb, program, options, [&program](const auto& o) {
    const Json result = open_engine().train_gate(o, program.context());
    if (!program.leads()) return 0;
    print_result(program, result, gate_text(result));
    program.suggest(fmt::format("moecollab eval --registry {} --data-dir …", o.registry.string()));
    return 0;
  });
}

}  // namespace moecollab::cli
