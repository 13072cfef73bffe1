#include "contribution/candidate_judgement.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "base/digest.h"
#include "base/error.h"
#include "contribution/judgement.h"
#include "pipeline/instantiate.h"
#include "registry/layout.h"

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

// At the row of the expert that the candidate would replace, if it can have that one's.
std::optional<FittedGateChange> in_the_place_of(const Trial& trial, const TrialTexts& texts,
                                                size_t replaced, CollectingLog& notes) {
  const pipeline::InstalledExpert& before = *trial.experts[replaced];
  const auto row = row_of(trial, replaced);
  const std::string difference =
      pipeline::difference(before.package.manifest, trial.candidate().package.manifest);
  if (row && difference.empty()) return judge_at_row(trial, texts.judged, *row);
  notes.log().note(
      fmt::format("not judged under the fitted gate: {}",
                  row ? fmt::format("the candidate cannot have the row of {} {}: {}", before.name,
                                    before.package.manifest.expert.version.text(), difference)
                      : fmt::format("{} has no row in it", before.name)));
  return std::nullopt;
}

std::optional<FittedGateChange> under_fitted_gate(const Trial& trial, const TrialFiles& files,
                                                  const TrialTexts& texts, int64_t count,
                                                  uint64_t seed, StopToken stop,
                                                  CollectingLog& notes) {
  if (!trial.gate) return std::nullopt;  // open_trial() said why
  if (const auto row = row_of(trial, trial.experts.size() - 1))
    return judge_at_row(trial, texts.judged, *row);
  if (trial.replaced) return in_the_place_of(trial, texts, *trial.replaced, notes);
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
  if (!texts.fit) {
    notes.log().note("not judged under the fitted gate: no training texts to fit its row on");
    return std::nullopt;
  }
  if (texts.fit->index_of(trial.candidate().domain()) < 0) {
    notes.log().note(fmt::format(
        "not judged under the fitted gate: --data-dir has no training text of domain {} to fit its "
        "row on",
        trial.candidate().domain()));
    return std::nullopt;
  }
  const FittedGateChange change =
      judge_under_gate(trial, texts.judged, *texts.fit, count,
                       {seed, trial.gate_file->fit.value("guard", true), stop});
  if (files.training)
    notes.keep("the row under the fitted gate was fitted on the texts that it is judged on");
  return change;
}

void require_room(const fs::path& verdict) {
  make_folder(verdict.parent_path());
  require_writable(verdict);
}

// What the verdict is of and rests on, and nothing that is found out by judging.
AdmissionRecord record_of(const pipeline::Pool& pool, const Trial& trial,
                          const std::vector<training::ChosenTexts>& chosen,
                          const JudgeOptions& options) {
  AdmissionRecord record;
  record.candidate = candidate_of(trial.candidate().package);
  if (trial.replaced) record.replaces = candidate_of(trial.experts[*trial.replaced]->package);
  record.split = options.split;
  for (const training::ChosenTexts& part : chosen)
    record.data.push_back({part.dataset->domain, part.dataset->sha256, part.examples.size()});
  for (const pipeline::InstalledExpert* expert : trial.experts)
    if (expert != &trial.candidate()) record.pool.emplace_back(expert->name, expert->sha256());
  if (pool.encoder() != nullptr) record.encoder = pool.encoder()->fingerprint();
  record.seed = options.seed;
  record.permutations = options.admission.permutations;
  return record;
}

// SHA-256 of the texts and labels: the same file can be read in several ways.
std::string digest_of(const std::vector<data::Dataset>& datasets) {
  std::string all;
  for (const data::Dataset& dataset : datasets) {
    all += sha256_hex(dataset.domain);
    for (const data::Example& example : dataset.examples)
      all += sha256_hex(example.text) + sha256_hex(example.label);
  }
  return sha256_hex(all);
}

// SHA-256 of all that a verdict rests on.
std::string basis_of(const pipeline::Pool& pool, const Trial& trial, const TrialFiles& files,
                     const AdmissionRecord& record, const JudgeOptions& options) {
  Json all = to_json(record);
  for (const char* found : {"verdict", "reasons", "notes", "command"}) all.erase(found);
  all["registry"] = pool.state().registry;
  all["gate"] = trial.gate_file ? trial.gate_file->sha256 : "";
  all["own_texts"] = options.admission.texts;
  all["engine"] = pipeline::engine_version(pool.options().compute);
  all["texts"] = digest_of(files.judged);
  all["fitting"] = files.fitting ? digest_of(*files.fitting) : "";
  return sha256_hex(to_line(all));
}

// The verdict that lies there, if it rests on this; nothing if there is none.
std::optional<Json> known_verdict(const fs::path& file, const std::string& basis) {
  if (!fs::exists(file)) return std::nullopt;
  try {
    Json verdict = parse_json(read_file(file, "E_REG_IO"));
    if (verdict.value("basis", std::string()) == basis) return verdict;
  } catch (const std::exception&) {  // damaged: judged again
  }
  return std::nullopt;
}

}  // namespace

KeptVerdict judge_and_keep(pipeline::Pool& pool, const Trial& trial, const TrialFiles& files,
                           const JudgeOptions& options, CollectingLog& notes) {
  const at::NoGradGuard no_grad;
  const auto chosen = choose_judged(pool, trial, files, options.seed);
  const fs::path path =
      registry::admission_file(pool.options().registry, trial.candidate().sha256());
  if (options.kept) require_room(path);
  AdmissionRecord record = record_of(pool, trial, chosen, options);
  record.basis = basis_of(pool, trial, files, record, options);
  std::optional<Json> result =
      options.known_will_do ? known_verdict(path, record.basis) : std::nullopt;
  const bool known = result.has_value();
  if (!known) {
    const TrialTexts texts =
        collect_trial_texts(pool, trial, files, chosen, options.seed, notes.log());
    record.judgement =
        judge(trial, texts.judged, texts.fit, options.admission.permutations, options.seed);
    record.fitted_gate = under_fitted_gate(trial, files, texts, options.admission.texts,
                                           options.seed, pool.context().stop, notes);
    record.notes = notes.texts();
    record.command = options.command;
    for (const data::Dataset& dataset : files.judged) data::require_unchanged(dataset);
    result = to_json(record);
    if (options.kept) write_file_atomic(path, to_text(*result));
  }
  (*result)["file"] = known || options.kept ? Json(path.string()) : Json(nullptr);
  return {*std::move(result), known};
}

}  // namespace moecollab::contribution
