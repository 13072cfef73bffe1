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
                  "admit judges a package before it is installed");
    }
  }
  const auto reasons = registry::check(package.manifest, pipeline::host_facts(pool.encoder()));
  if (!reasons.empty())
    throw Error(reasons.front().code, reasons.front().rule, reasons.front().hint);
  auto expert =
      pipeline::instantiate(package, pool.encoder(), pool.options().compute, pool.context(),
                            pool.place(package));
  pipeline::check_probe(package, *expert, pool.probe_encoder());
  return {name, package, std::move(expert), {}, {}};
}

void open_gate(pipeline::Pool& pool, Trial& trial, Log notes) {
  try {
    pipeline::GateFile file = pipeline::read_gate(pool);
    trial.gate = pipeline::open_gate(file, pool);
    trial.gate_file = std::move(file);
    std::vector<std::string> names;
    for (const InstalledExpert* expert : trial.gate->experts) names.push_back(expert->name);
    names.push_back(trial.candidate.name);
    trial.caps = pipeline::weight_caps(pool.registry(), names, trial.gate->unfitted);
  } catch (const Error& error) {
    notes.note(fmt::format("not judged under the fitted gate: {}", error.what()));
  }
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

}  // namespace

std::unique_ptr<Trial> open_trial(pipeline::Pool& pool, const registry::Package& package,
                                  Log notes) {
  std::unique_ptr<Trial> trial(
      new Trial{load_candidate(pool, package), pool.labels(), {}, {}, {}, {}, {}});
  open_gate(pool, *trial, notes);
  const registry::TaskTable& task = package.manifest.task;
  trial->candidate.labels.space =
      trial->labels.add({task.label_space, task.labels}, task.partial, "the package");
  trial->candidate.labels.temperature = package.manifest.output.temperature;
  for (InstalledExpert& expert : pool.experts()) trial->experts.push_back(&expert);
  trial->experts.push_back(&trial->candidate);
  trial->expert_labels = labels_of_experts(*trial);
  return trial;
}

}  // namespace moecollab::contribution
