#include "contribution/trial_texts.h"

#include <fmt/format.h>

#include <numeric>

#include "base/error.h"
#include "base/strings.h"
#include "pipeline/domain_space.h"

namespace moecollab::contribution {
namespace {

std::vector<training::ChosenTexts> choose(const pipeline::Pool& pool, const Trial& trial,
                                          const std::vector<data::Dataset>& datasets,
                                          bool held_out_only, uint64_t seed) {
  std::vector<training::ChosenTexts> chosen;
  for (const data::Dataset& dataset : datasets) {
    const auto space =
        pipeline::find_domain_space(pool.registry(), trial.experts, trial.labels, dataset.domain);
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
  const registry::TaskTable& task = trial.candidate().package.manifest.task;
  for (const training::ChosenTexts& part : chosen) {
    if (part.dataset->domain != task.domain || part.examples.empty()) continue;
    if (part.space == trial.candidate().labels.space) return;
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

training::AnsweredTexts collect(pipeline::Pool& pool, const Trial& trial,
                                const std::vector<training::ChosenTexts>& chosen) {
  return training::collect_answered_texts(
      pool, trial.labels, trial.experts,
      trial.gate ? trial.gate->gate.features : std::vector<encoder::PooledKey>(), chosen);
}

std::optional<training::AnsweredTexts> collect_fitting(pipeline::Pool& pool, const Trial& trial,
                                                       const TrialFiles& files, uint64_t seed,
                                                       Log notes) {
  if (!files.fitting) {
    notes.note(
        "confidences are taken as they are: to fit them needs training texts, which only "
        "--data-dir "
        "holds beside those judged on");
    return std::nullopt;
  }
  training::AnsweredTexts texts =
      collect(pool, trial, choose(pool, trial, *files.fitting, /*held_out_only=*/true, seed));
  if (texts.domain_of.empty()) {
    notes.note("confidences are taken as they are: no training text is held out");
    return std::nullopt;
  }
  return texts;
}

void warn_of_seen(const training::AnsweredTexts& texts, Log notes) {
  if (texts.seen.back() == 0) return;
  notes.warning(
      fmt::format("the candidate has no held-out logits here: it may have trained on "
                  "{} of the texts of its own domain",
                  texts.seen.back()));
}

}  // namespace

std::string split_name(const TrialFiles& files, const std::string& split) {
  return files.training ? "train (held out)" : split;
}

std::vector<training::ChosenTexts> choose_judged(const pipeline::Pool& pool, const Trial& trial,
                                                 const TrialFiles& files, uint64_t seed) {
  std::vector<training::ChosenTexts> chosen =
      choose(pool, trial, files.judged, files.training, seed);
  require_own_domain(trial, chosen);
  return chosen;
}

TrialTexts collect_trial_texts(pipeline::Pool& pool, const Trial& trial, const TrialFiles& files,
                               const std::vector<training::ChosenTexts>& judged, uint64_t seed,
                               Log notes) {
  TrialTexts texts{collect(pool, trial, judged), {}};
  if (files.training) {
    warn_of_seen(texts.judged, notes);
    texts.fit = texts.judged;
  } else {
    texts.fit = collect_fitting(pool, trial, files, seed, notes);
  }
  return texts;
}

}  // namespace moecollab::contribution
