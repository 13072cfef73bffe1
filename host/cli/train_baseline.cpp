// The verb train-baseline.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/strings.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

std::string baseline_text(const Json& r) {
  const Json& accuracy = r["held_out_accuracy"];
  return fmt::format(
      "{} over {} labels fitted on {} texts in {:.1f} s: {} epochs{}; wrote {}\n",
      r["baseline"].get<std::string>(), r["labels"].get<int64_t>(), r["texts"].get<int64_t>(),
      r["fit_seconds"].get<double>(), r["epochs"].get<int>(),
      accuracy.is_number() ? fmt::format(", held-out accuracy {:.3f}", accuracy.get<double>()) : "",
      r["file"].get<std::string>());
}

engine::BaselineKind parse_kind(const std::string& word) {
  if (word == "head") return engine::BaselineKind::kHead;
  if (word == "deep") return engine::BaselineKind::kDeep;
  const std::vector<std::string> kinds = {"head", "deep"};
  throw Error(
      "E_CONFIG",
      fmt::format("the baseline {} is unknown{}", escaped(word, 40), did_you_mean(word, kinds)),
      "known are head and deep");
}

struct Words {
  std::string kind;
  std::vector<std::string> settings;
};

void read_words(const Words& words, engine::TrainBaselineOptions& options) {
  options.kind = parse_kind(words.kind);
  if (options.kind == engine::BaselineKind::kDeep) {
    if (options.weight_decay) {
      throw Error("E_CONFIG", "--weight-decay is for the head; the deep kind has its own",
                  "leave it out");
    }
  } else if (!words.settings.empty() || options.checkpoints.resume) {
    throw Error("E_CONFIG",
                "--set and --resume are for the deep baseline; the head fits in seconds",
                "leave them out");
  }
  options.config = parse_settings(words.settings);
}

}  // namespace

void add_train_baseline(Program& program) {
  auto options = std::make_shared<engine::TrainBaselineOptions>();
  auto words = std::make_shared<Words>();
  CLI::App& verb = add_verb(
      program, program.app, "train-baseline",
      "Trains one model over all labels, for `eval` to compare with",
      "moecollab train-baseline head --data-dir samples/data --registry build/demo/registry");
  verb.add_option("kind", words->kind,
                  "head: linear, on the gate's frozen features; deep: the deep expert's recipe")
      ->type_name("head|deep")
      ->required();
  verb.add_option(
      "--epochs", options->epochs,
      "head: at most, the best held-out one counts (100); deep: this many (the kind's)");
  verb.add_option("--lr", options->lr, "Learning rate of AdamW (head: 1e-3)");
  verb.add_option("--batch", options->batch, "Texts per step (head: 256)");
  verb.add_option("--weight-decay", options->weight_decay, "head: of AdamW (0.05)");
  verb.add_option("--set", words->settings, "deep: a setting of the kind's [config]; repeatable")
      ->type_name("KEY=VALUE");
  verb.add_flag("--resume", options->checkpoints.resume, "deep: continue an interrupted run");
  verb.add_option("--checkpoint-seconds", options->checkpoints.seconds,
                  "deep: how often a checkpoint is written")
      ->capture_default_str();
  learns_from_data(verb, program, options, [&program, words](auto& o) {
    read_words(*words, o);
    const Json result = open_engine().train_baseline(o, program.context());
    print_result(program, result, baseline_text(result));
    return 0;
  });
}

}  // namespace moecollab::cli
