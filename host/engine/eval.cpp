#include <fmt/format.h>

#include <functional>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "engine/deep_baseline.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/evaluate.h"
#include "evaluation/learning_curves.h"
#include "pipeline/collaboration.h"

namespace moecollab::engine {
namespace {

constexpr uint64_t kMaxHistory = uint64_t{64} << 20;  // bytes

// Loads a comparison model of the registry, or notes in the report why it has no figures.
void load_baseline(const char* name, const fs::path& file, const std::function<void()>& load,
                   CollectingLog& notes) {
  if (!fs::exists(file)) {
    notes.keep(fmt::format("{} is null: there is no registry/baselines/{}", name,
                           file.filename().string()));
    return;
  }
  try {
    load();
  } catch (const Error& error) {
    notes.log().warning(fmt::format("{} is null: {}", name, error.what()), error.hint());
  }
}

void load_baselines(const fs::path& registry, const pipeline::Pool& pool,
                    evaluation::Baselines& baselines, CollectingLog& notes) {
  const auto load_head = [&] {
    training::HeadFile head = training::read_head(registry);
    baselines.head_columns =
        training::head_columns(head, pool.encoder()->fingerprint(), pool.labels());
    baselines.head = std::move(head);
  };
  const auto load_deep = [&] { baselines.deep.emplace(open_deep_baseline(pool)); };
  load_baseline("multi_task_head", training::head_path(registry), load_head, notes);
  load_baseline("multi_task_deep", deep_baseline_folder(registry), load_deep, notes);
}

// The lines of a history; none where there is no such file. One that cannot be read is noted.
std::vector<Json> read_history(const fs::path& file, CollectingLog& notes) {
  std::vector<Json> lines;
  if (!fs::exists(file)) return lines;
  try {
    std::istringstream text(read_file(file, "E_REG_IO", kMaxHistory));
    for (std::string line; std::getline(text, line);) lines.push_back(parse_json(line));
  } catch (const std::exception& error) {
    notes.keep(fmt::format("{} cannot be read: {}", escaped(file.string()), escaped(error.what())));
    lines.clear();
  }
  return lines;
}

Json read_training(const fs::path& registry, const pipeline::Collaboration& collaboration,
                   CollectingLog& notes) {
  std::vector<std::pair<std::string, std::vector<Json>>> experts;
  for (const pipeline::InstalledExpert* expert : collaboration.experts()) {
    std::vector<Json> history =
        read_history(registry / "history" / (expert->name + ".jsonl"), notes);
    if (!history.empty()) experts.emplace_back(expert->name, std::move(history));
  }
  return evaluation::training_json(
      read_history(pipeline::gate_folder(registry) / "history.jsonl", notes), experts);
}

}  // namespace

Json run_eval(const EvalOptions& options, const RunContext& context) {
  prepare(options);
  if (options.fusion) fusion::parse_mode(*options.fusion);
  if (options.top_k) check_top_k(options.registry, *options.top_k);
  const std::vector<data::Dataset> datasets =
      read_datasets(options.data, "test-else-dev", context.log);
  pipeline::Pool pool(pool_options(options, context));
  pool.require_experts();
  const LoadedGate gate = load_gate(options.registry, options.fusion, options.top_k, context.log);
  pipeline::Collaboration collaboration(pool, pipeline::open_gate(gate.file, pool), gate.fusion,
                                        gate.top_k);

  CollectingLog notes(context.log);
  evaluation::EvaluationContext about;
  about.command = options.command;
  about.seed = options.seed;
  load_baselines(options.registry, pool, about.baselines, notes);
  about.training = read_training(options.registry, collaboration, notes);
  if (!options.data.dir.empty()) {
    for (const data::Dataset& dataset : datasets) {
      const fs::path file = options.data.dir / dataset.domain / "train.jsonl";
      if (fs::exists(file)) about.training_files[dataset.domain] = file.string();
    }
  }
  Json report = evaluation::evaluate(collaboration, gate.file, datasets, about, notes);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  return report;
}

}  // namespace moecollab::engine
