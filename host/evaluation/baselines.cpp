#include "evaluation/baselines.h"

#include <fmt/format.h>

#include "base/error.h"

namespace moecollab::evaluation {
namespace {

// Loads a model of the registry, or notes why it has no figures.
void load_one(const char* name, const fs::path& file, const std::function<void()>& load,
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

}  // namespace

Baselines load_baselines(const pipeline::Pool& pool, const DeepBaseline& deep,
                         CollectingLog& notes) {
  const fs::path& registry = pool.options().registry;
  Baselines baselines;
  const auto load_head = [&] {
    training::HeadFile head = training::read_head(registry);
    baselines.head_columns =
        training::head_columns(head, pool.encoder()->fingerprint(), pool.labels());
    baselines.head = std::move(head);
  };
  const auto load_deep = [&] { baselines.deep.emplace(deep.open(pool)); };
  load_one("multi_task_head", registry::head_baseline(registry), load_head, notes);
  load_one("multi_task_deep", deep.folder, load_deep, notes);
  return baselines;
}

}  // namespace moecollab::evaluation
