#include "engine/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "pipeline/instantiate.h"
#include "pipeline/probe.h"

namespace moecollab::engine {
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
      pipeline::instantiate(package, pool.encoder(), pool.options().compute, pool.context());
  pipeline::check_probe(package, *expert, pool.encoder());
  return {name, package, std::move(expert), {}, {}};
}

void open_gate(pipeline::Pool& pool, Trial& trial, Log notes) {
  try {
    pipeline::GateFile file = pipeline::read_gate(pool.options().registry, pool.context().log);
    trial.gate = pipeline::open_gate(file, pool);
    trial.gate_file = std::move(file);
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
    if (it != routed.end()) {
      all.back().temperature =
          trial.gate->rows[static_cast<size_t>(it - routed.begin())].temperature;
    }
  }
  return all;
}

// The label space of a domain's data, the candidate counted in; nullopt where nobody knows the
// domain.
std::optional<int> space_of(const pipeline::Pool& pool, const Trial& trial,
                            const std::string& domain) {
  const auto stated = pool.registry().domains.find(domain);
  if (stated != pool.registry().domains.end()) return trial.labels.find(stated->second);
  std::set<int> spaces;
  std::vector<std::string> names;
  for (const InstalledExpert* expert : trial.experts) {
    if (expert->domain() == domain && spaces.insert(expert->labels.space).second)
      names.push_back(expert->package.manifest.task.label_space);
  }
  if (spaces.size() > 1) {
    throw Error("E_DATA",
                fmt::format("the experts of domain {} answer in several label spaces: {}", domain,
                            join(names, ", ")),
                fmt::format("say which one in registry.toml: [domains] {} = \"…\"", domain));
  }
  return spaces.empty() ? std::nullopt : std::optional(*spaces.begin());
}

}  // namespace

std::unique_ptr<Trial> open_trial(pipeline::Pool& pool, const registry::Package& package,
                                  Log notes) {
  std::unique_ptr<Trial> trial(
      new Trial{load_candidate(pool, package), pool.labels(), {}, {}, {}, {}});
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

std::vector<training::ChosenTexts> choose(const pipeline::Pool& pool, const Trial& trial,
                                          const std::vector<data::Dataset>& datasets,
                                          bool held_out_only, uint64_t seed) {
  std::vector<training::ChosenTexts> chosen;
  for (const data::Dataset& dataset : datasets) {
    const auto space = space_of(pool, trial, dataset.domain);
    if (!space) {
      pool.context().log.note(fmt::format("domain {} has no expert: left out", dataset.domain));
      continue;
    }
    std::vector<int64_t> examples(dataset.examples.size());
    std::iota(examples.begin(), examples.end(), int64_t{0});
    if (held_out_only) {
      int64_t held_out = 0;
      examples = training::held_out_first(dataset, seed, held_out);
      examples.resize(static_cast<size_t>(held_out));
    }
    chosen.push_back({&dataset, *space, std::move(examples)});
  }
  return chosen;
}

void require_own_domain(const Trial& trial, const std::vector<training::ChosenTexts>& chosen) {
  const registry::TaskTable& task = trial.candidate.package.manifest.task;
  for (const training::ChosenTexts& part : chosen) {
    if (part.dataset->domain != task.domain || part.examples.empty()) continue;
    if (part.space == trial.candidate.labels.space) return;
    throw Error("E_DATA",
                fmt::format("the candidate answers in label space {}, the data of domain {} is of "
                            "{}",
                            task.label_space, task.domain,
                            trial.labels.spaces()[static_cast<size_t>(part.space)].name),
                "judge it on data of its own label space");
  }
  throw Error(
      "E_DATA",
      fmt::format("there are no texts of domain {} (label space {}) to judge the candidate "
                  "on",
                  escaped(task.domain, 80), escaped(task.label_space, 80)),
      fmt::format("give its data with --data {}=FILE or --data-dir DIR", escaped(task.domain, 80)));
}

}  // namespace moecollab::engine
