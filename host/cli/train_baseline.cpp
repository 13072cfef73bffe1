// The verb train-baseline.
#include <fmt/format.h>

#include <memory>

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

}  // namespace

void add_train_baseline(Program& program) {
  auto options = std::make_shared<engine::TrainBaselineOptions>();
  CLI::App& verb = add_verb(program, program.app, "train-baseline",
                            "Trains one model over all labels, for `eval` to compare with",
                            "moecollab train-baseline head --data-dir samples/data");
  verb.add_option("kind", options->kind,
                  "head: linear, on the gate's frozen features; deep: the deep expert's recipe")
      ->required();
  verb.add_option(
      "--epochs", options->epochs,
      "head: at most, the best held-out one counts (100); deep: this many (the kind's)");
  verb.add_option("--lr", options->lr, "Learning rate of AdamW (head: 1e-3)");
  verb.add_option("--batch", options->batch, "Texts a step (head: 256)");
  verb.add_option("--weight-decay", options->weight_decay, "head: of AdamW (0.05)");
  verb.add_option("--set", options->settings, "deep: a setting of the kind's [config]; repeatable")
      ->type_name("KEY=VALUE");
  verb.add_flag("--resume", options->resume, "deep: go on from where an interrupted run was");
  verb.add_option("--checkpoint-seconds", options->checkpoint_seconds,
                  "deep: how often a checkpoint is written")
      ->capture_default_str();
  learns_from_data(verb, program, options, [&program](const auto& o) {
    const Json result = open_engine().train_baseline(o, program.context());
    print_result(program, result, baseline_text(result));
    return 0;
  });
}

}  // namespace moecollab::cli
