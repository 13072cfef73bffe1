#include "contribution/candidate_judgement.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "contribution/judgement.h"

namespace moecollab::contribution {
namespace {

AdmissionRecord::Candidate candidate_of(const registry::Package& package) {
  const registry::Manifest& manifest = package.manifest;
  return {manifest.expert.name,    manifest.expert.id,   manifest.expert.version.text(),
          package.manifest_sha256, manifest.task.domain, manifest.task.label_space};
}

// An expert of a logarithmic pool that does not know every label of the trial's union; empty: none.
std::string pooled_but_incomplete(const Trial& trial) {
  for (size_t e = 0; e < trial.experts.size(); ++e) {
    const fusion::ExpertLabels& labels = trial.expert_labels[e];
    if (labels.pool == fusion::OpinionPool::kLogarithmic &&
        !fusion::is_complete(labels, trial.labels))
      return trial.experts[e]->name;
  }
  return {};
}

std::optional<FittedGateChange> under_fitted_gate(const Trial& trial, const TrialFiles& files,
                                                  const TrialTexts& texts, int64_t count,
                                                  uint64_t seed, StopToken stop,
                                                  CollectingLog& notes) {
  if (!trial.gate) return std::nullopt;  // open_trial() said why
  if (!gate::can_grow(trial.gate->gate)) {
    notes.log().note(
        "not judged under the fitted gate: it has a hidden layer, and no rows are grown for such "
        "gates");
    return std::nullopt;
  }
  if (const std::string expert = pooled_but_incomplete(trial); !expert.empty()) {
    notes.log().note(fmt::format(
        "not judged under the fitted gate: it pools logarithms in the candidate's label space, "
        "which would get a label that expert {} does not know",
        expert));
    return std::nullopt;
  }
  if (!texts.fit) return std::nullopt;  // collect_trial_texts() said why
  if (texts.fit->index_of(trial.candidate.domain()) < 0) {
    notes.log().note(fmt::format(
        "not judged under the fitted gate: --data-dir has no training text of domain {} to fit its "
        "row on",
        trial.candidate.domain()));
    return std::nullopt;
  }
  const FittedGateChange change =
      judge_under_gate(trial, texts.judged, *texts.fit, count,
                       {seed, trial.gate_file->fit.value("guard", true), stop});
  if (files.training)
    notes.keep("the row under the fitted gate was fitted on the texts that it is judged on");
  return change;
}

}  // namespace

AdmissionRecord judge_candidate(pipeline::Pool& pool, const Trial& trial, const TrialFiles& files,
                                const std::vector<training::ChosenTexts>& chosen,
                                const AdmissionOptions& options, uint64_t seed,
                                CollectingLog& notes) {
  const at::NoGradGuard no_grad;
  const TrialTexts texts = collect_trial_texts(pool, trial, files, chosen, seed, notes.log());
  AdmissionRecord record;
  record.candidate = candidate_of(trial.candidate.package);
  record.judgement = judge(trial, texts.judged, texts.fit, options.permutations, seed);
  record.fitted_gate =
      under_fitted_gate(trial, files, texts, options.texts, seed, pool.context().stop, notes);
  record.notes = notes.texts();
  for (const data::Dataset& dataset : files.judged) data::require_unchanged(dataset);
  for (const training::ChosenTexts& part : chosen)
    record.data.push_back({part.dataset->domain, part.dataset->sha256, part.examples.size()});
  for (const pipeline::InstalledExpert& expert : pool.experts())
    record.pool.emplace_back(expert.name, expert.sha256());
  if (pool.encoder() != nullptr) record.encoder = pool.encoder()->fingerprint();
  record.seed = seed;
  record.permutations = options.permutations;
  return record;
}

fs::path verdict_file(const fs::path& registry, const registry::Package& package) {
  const fs::path path = registry::admission_file(registry, package.manifest_sha256);
  make_folder(path.parent_path());
  require_writable(path);
  return path;
}

}  // namespace moecollab::contribution
