#include "contribution/candidate_trial.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "pipeline/collaboration.h"
#include "pipeline/instantiate.h"
#include "pipeline/probe.h"

namespace moecollab::contribution {
namespace {

using pipeline::InstalledExpert;

InstalledExpert load_candidate(pipeline::Pool& pool, const registry::Package& package) {
  const std::string& name = package.manifest.expert.name;
  if (package.manifest.is_kind()) {
    throw Error("E_DESC_LABELS",
                fmt::format("{} has no labels: it is a kind to be trained, not an expert",
                            escaped(package.folder.string())));
  }
  for (const InstalledExpert& expert : pool.experts()) {
    if (expert.sha256() == package.manifest_sha256) {
      throw Error("E_CONFIG",
                  fmt::format("this very package is installed already as {}", expert.name),
                  fmt::format("`moecollab admit {}` judges it where it is, if it is on probation",
                              expert.name));
    }
  }
  const auto reasons = registry::check(package.manifest, pipeline::host_facts(pool.encoder()));
  if (!reasons.empty())
    throw Error(reasons.front().code, reasons.front().rule, reasons.front().hint);
  auto expert = pipeline::instantiate(package, pool.encoder(), pool.options().compute,
                                      pool.context(), pool.place(package));
  pipeline::check_probe(package, *expert, pool.probe_encoder());
  return {name, package, std::move(expert), {}, {}};
}

// Its own bound, as if it were not on probation.
double own_cap(const pipeline::Pool& pool, const std::string& name) {
  const auto& entries = pool.registry().experts;
  const auto entry = std::ranges::find(entries, name, &registry::ExpertEntry::name);
  return entry == entries.end() ? 1.0 : entry->weight_cap.value_or(1.0);
}

void open_gate(pipeline::Pool& pool, Trial& trial, Log notes) {
  try {
    pipeline::GateFile file = pipeline::read_gate(pool);
    trial.gate = pipeline::open_gate(file, pool);
    trial.gate_file = std::move(file);
  } catch (const Error& error) {
    notes.note(fmt::format("not judged under the fitted gate: {}", error.what()));
    return;
  }
  std::vector<InstalledExpert*> capped = trial.gate->experts;
  capped.push_back(&trial.candidate());
  trial.caps = pipeline::weight_caps(pool, capped, trial.gate->unfitted);
  if (!trial.is_installed() || !trial.caps.defined()) return;
  for (size_t e = 0; e < capped.size(); ++e)
    if (capped[e] == &trial.candidate())
      trial.caps[static_cast<int64_t>(e)] = own_cap(pool, trial.candidate().name);
}

// At the gate's temperatures, or else at those of the manifests, with columns of the trial's union.
std::vector<fusion::ExpertLabels> labels_of_experts(const Trial& trial) {
  std::vector<fusion::ExpertLabels> all;
  for (const InstalledExpert* expert : trial.experts) {
    all.push_back(expert->labels);
    all.back().columns =
        trial.labels.columns(expert->labels.space, expert->package.manifest.task.labels);
    if (!trial.gate) continue;
    const auto& routed = trial.gate->experts;
    const auto it = std::find(routed.begin(), routed.end(), expert);
    if (it == routed.end()) continue;
    const pipeline::GateRow& row = trial.gate->rows[static_cast<size_t>(it - routed.begin())];
    all.back().temperature = row.temperature;
    all.back().pool = row.pool;
  }
  return all;
}

bool is_replaced_by(const InstalledExpert& expert, const registry::Package& package,
                    const std::string& name) {
  const registry::ExpertTable& now = expert.package.manifest.expert;
  const registry::ExpertTable& next = package.manifest.expert;
  return expert.name == name && now.id == next.id && now.version < next.version;
}

bool is_on_probation(const pipeline::Pool& pool, const InstalledExpert& expert) {
  const registry::Lock& lock = pool.lock();
  if (lock.admitted.contains(expert.sha256())) return false;
  if (!lock.made_here.contains(expert.sha256())) return true;
  try {
    const pipeline::GateFile file = pipeline::read_gate(pool);
    const auto row = std::ranges::find(file.rows, expert.name, &pipeline::GateRow::name);
    return row != file.rows.end() && row->sha256 != expert.sha256();
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::unique_ptr<Trial> open_trial(pipeline::Pool& pool, const registry::Package& package,
                                  const std::string& name, Log notes) {
  auto trial = std::make_unique<Trial>(
      Trial{load_candidate(pool, package), pool.labels(), {}, {}, {}, {}, {}, {}});
  for (InstalledExpert& expert : pool.experts()) {
    if (is_replaced_by(expert, package, name)) trial->replaced = trial->experts.size();
    trial->experts.push_back(&expert);
  }
  trial->loaded->name = name;  // whose bound of registry.toml counts
  trial->experts.push_back(&*trial->loaded);
  open_gate(pool, *trial, notes);
  const registry::TaskTable& task = package.manifest.task;
  trial->loaded->labels.space =
      trial->labels.add({task.label_space, task.labels}, task.partial, "the package");
  trial->loaded->labels.temperature = package.manifest.output.temperature;
  trial->expert_labels = labels_of_experts(*trial);
  return trial;
}

std::unique_ptr<Trial> open_trial(pipeline::Pool& pool, const std::string& name, Log notes) {
  const auto installed = std::ranges::find(pool.experts(), name, &InstalledExpert::name);
  if (installed == pool.experts().end()) {
    throw Error("E_CONFIG", fmt::format("there is no expert {} that is ready", escaped(name, 80)),
                "`moecollab experts list` shows every one; a package is judged by its path");
  }
  if (!is_on_probation(pool, *installed)) {
    throw Error("E_CONFIG", fmt::format("expert {} is not on probation", name),
                "an installed expert is judged to end its probation; what it is worth is in the "
                "report of `moecollab eval`");
  }
  auto trial = std::make_unique<Trial>(Trial{{}, pool.labels(), {}, {}, {}, {}, {}, {}});
  for (InstalledExpert& expert : pool.experts())
    if (expert.name != name) trial->experts.push_back(&expert);
  trial->experts.push_back(&*installed);
  open_gate(pool, *trial, notes);
  trial->expert_labels = labels_of_experts(*trial);
  return trial;
}

}  // namespace moecollab::contribution
