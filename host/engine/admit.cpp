#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/admission.h"
#include "engine/session.h"
#include "engine/trial.h"
#include "engine/verbs.h"
#include "pipeline/gate_file.h"
#include "registry/trust.h"
#include "training/calibration.h"
#include "training/growth.h"
#include "training/text_collection.h"

namespace moecollab::engine {
namespace {

using contribution::PairedChange;
using pipeline::InstalledExpert;

at::Tensor rows_of(const training::AnsweredTexts& texts, const std::string& domain) {
  return texts.rows_of(texts.index_of(domain));
}

at::Tensor rows_of_others(const training::AnsweredTexts& texts, const std::string& domain) {
  std::vector<int64_t> rows;
  const int left_out = texts.index_of(domain);
  for (size_t i = 0; i < texts.domain_of.size(); ++i) {
    if (texts.domain_of[i] != left_out) rows.push_back(static_cast<int64_t>(i));
  }
  return encoder::index_tensor(rows);
}

Json change_json(const PairedChange& c) {
  return {{"n", c.n},           {"before", c.before}, {"after", c.after},
          {"change", c.change}, {"low", c.low},       {"high", c.high},
          {"z", c.z},           {"fixed", c.fixed},   {"broke", c.broke}};
}

// The whole and each domain.
Json changes_json(const training::AnsweredTexts& rows, const at::Tensor& before,
                  const at::Tensor& after) {
  Json json = change_json(contribution::paired_change(before, after));
  for (const std::string& domain : rows.domains) {
    const at::Tensor index = rows_of(rows, domain);
    json["domains"][domain] = change_json(
        contribution::paired_change(before.index_select(0, index), after.index_select(0, index)));
  }
  return json;
}

struct OwnDomain {
  int64_t n;
  double accuracy, majority;
};

// The candidate alone on its own domain, which it is told, and the most frequent label there.
OwnDomain own_domain(const Trial& trial, const training::AnsweredTexts& rows) {
  const training::AnsweredTexts own = rows.select(rows_of(rows, trial.candidate.domain()));
  const size_t e = trial.experts.size() - 1;
  return {
      own.rows(),
      training::right_alone(own, e, trial.expert_labels[e]).to(at::kDouble).mean().item<double>(),
      own.targets.bincount().max().item<double>() / static_cast<double>(own.rows())};
}

// Indices into trial.experts: the experts of the fitted gate, then the candidate.
std::vector<size_t> routed_experts(const Trial& trial) {
  std::vector<size_t> indices;
  for (const InstalledExpert* expert : trial.gate->experts) {
    const auto it = std::find(trial.experts.begin(), trial.experts.end(), expert);
    indices.push_back(static_cast<size_t>(it - trial.experts.begin()));
  }
  indices.push_back(trial.experts.size() - 1);
  return indices;
}

training::AnsweredTexts of_experts(training::AnsweredTexts texts,
                                   const std::vector<size_t>& experts) {
  std::vector<at::Tensor> logits;
  for (const size_t e : experts) logits.push_back(texts.logits[e]);
  texts.logits = std::move(logits);
  return texts;
}

// The candidate's row is fitted as `grow` would, but on texts of `fit` alone, N of them its own,
// and with every old domain of the same weight; then it is judged on `judged`.
Json under_fitted_gate(const Trial& trial, const training::AnsweredTexts& fit,
                       const training::AnsweredTexts& judged, int64_t texts) {
  const pipeline::GateFile& file = *trial.gate_file;
  const std::vector<size_t> experts = routed_experts(trial);
  training::GrowthSetting setting{trial.gate->gate, {}, trial.labels};
  for (const size_t e : experts) setting.experts.push_back(trial.expert_labels[e]);

  const at::Tensor own = rows_of(fit, trial.candidate.domain());
  const int64_t count = std::min(texts, own.numel());
  at::Tensor others = rows_of_others(fit, trial.candidate.domain());
  if (file.data.contains(trial.candidate.domain()))
    others = at::cat({others, own.narrow(0, count, own.numel() - count)});
  const training::AnsweredTexts all = of_experts(fit, experts);
  const training::NewRows row =
      training::RowFit(setting, all.select(own.narrow(0, 0, count)), all.select(others),
                       fit.index_of(trial.candidate.domain()))
          .rows();
  const training::AnsweredTexts seen = of_experts(judged, experts);
  const fusion::Mode fusion = fusion::Mode::kMixture;
  Json json = changes_json(
      judged, training::answered_right(setting.gate, setting, seen, fusion, file.top_k),
      training::answered_right(training::extended(setting.gate, row), setting, seen, fusion,
                               file.top_k));
  json["texts"] = count;
  return json;
}

// Leave-one-out and Shapley value of every expert under forced shares.
Json contributions(const Trial& trial, const contribution::ForcedPool& pool,
                   const AdmitOptions& options) {
  const std::vector<bool> everybody(pool.experts(), true);
  const double whole = pool.accuracy(everybody);
  const std::vector<double> values = contribution::shapley(
      pool.experts(), options.permutations, options.seed,
      [&](const std::vector<bool>& present) { return pool.accuracy(present); });
  Json json = Json::array();
  for (size_t e = 0; e < pool.experts(); ++e) {
    std::vector<bool> without = everybody;
    without[e] = false;
    json.push_back({{"name", trial.experts[e]->name},
                    {"candidate", e + 1 == pool.experts()},
                    {"leave_one_out", whole - pool.accuracy(without)},
                    {"shapley", values[e]}});
  }
  return json;
}

Json reasons(const PairedChange& forced, const OwnDomain& own, contribution::Verdict verdict) {
  Json list = Json::array();
  if (own.accuracy <= own.majority) {
    list.push_back(fmt::format(
        "its accuracy on its own domain, {:.4f}, is not above the majority class's {:.4f}",
        own.accuracy, own.majority));
  }
  if (forced.high < contribution::kMargin) {
    list.push_back(fmt::format(
        "with equal shares the pool changes by {:+.4f}, and at most {:+.4f} (95 %): below {}",
        forced.change, forced.high, contribution::kMargin));
  } else if (forced.low <= contribution::kMargin) {
    list.push_back(fmt::format(
        "with equal shares the pool changes by {:+.4f}, between {:+.4f} and {:+.4f} (95 % each): "
        "{} lies between",
        forced.change, forced.low, forced.high, contribution::kMargin));
  }
  if (verdict == contribution::Verdict::kAdmit) {
    list.push_back(
        fmt::format("with equal shares the pool changes by {:+.4f}, and at least "
                    "{:+.4f} (95 %): above {}",
                    forced.change, forced.low, contribution::kMargin));
  }
  return list;
}

void check_options(const AdmitOptions& options) {
  if (options.texts < 1)
    throw Error("E_CONFIG", fmt::format("--texts is {}, expected at least 1", options.texts));
  if (options.permutations < 1) {
    throw Error("E_CONFIG",
                fmt::format("--permutations is {}, expected at least 1", options.permutations));
  }
}

void require_pool(pipeline::Pool& pool, const AdmitOptions& options) {
  if (!pool.experts().empty()) return;
  throw Error("E_REG_EMPTY",
              fmt::format("{}: 0 experts installed: there is no pool to judge against",
                          escaped(options.registry.string())),
              "the first expert of a pool skips admission: `moecollab experts add`");
}

fs::path verdict_path(const AdmitOptions& options, const registry::Package& package) {
  const fs::path folder = options.registry / "admission";
  make_folder(folder);
  const fs::path path = folder / (package.manifest_sha256 + ".json");
  require_writable(path);
  return path;
}

// Texts that the candidate's row may be fitted on: the held-out training ones.
std::optional<training::AnsweredTexts> fitting_rows(pipeline::Pool& pool, const Trial& trial,
                                                    const AdmitOptions& options,
                                                    const std::vector<encoder::PooledKey>& features,
                                                    Log log) {
  if (options.data.dir.empty()) {
    log.note(
        "confidences are taken as they are, and the fitted gate is left out: both need training "
        "texts, which only --data-dir holds beside those judged on");
    return std::nullopt;
  }
  data::DataOptions location;
  location.dir = options.data.dir;
  location.format = options.data.format;
  const std::vector<data::Dataset> datasets = read_datasets(location, "train", pool.context().log);
  training::AnsweredTexts rows = training::collect_answered_texts(
      pool, trial.labels, trial.experts, features,
      choose(pool, trial, datasets, /*held_out_only=*/true, options.seed));
  if (rows.domain_of.empty()) {
    log.note("confidences are taken as they are: no training text is held out");
    return std::nullopt;
  }
  return rows;
}

// What the forced shares say.
struct Judgement {
  contribution::ForcedPool pool;
  at::Tensor before, after;  // [n] bool, without and with the candidate
  PairedChange forced;
  OwnDomain own;
  contribution::Verdict verdict;
};

// Equal shares are equal only among experts that are as sure of themselves as they are right, so
// every one answers at the temperature that `train-gate --calibrate` would give it on `fit`.
Judgement judge(const Trial& trial, const training::AnsweredTexts& rows,
                const std::optional<training::AnsweredTexts>& fit) {
  std::vector<fusion::ExpertLabels> labels = trial.expert_labels;
  std::vector<int> spaces;
  for (const fusion::ExpertLabels& expert : labels) spaces.push_back(expert.space);
  if (fit) training::calibrate(fit->targets, fit->logits, labels);
  std::vector<at::Tensor> answers;
  for (size_t e = 0; e < labels.size(); ++e)
    answers.push_back(contribution::over_union(rows.logits[e], labels[e], trial.labels.size()));
  Judgement j{{answers, spaces, rows.targets}, {}, {}, {}, own_domain(trial, rows), {}};
  std::vector<bool> present(trial.experts.size(), true);
  j.after = j.pool.right(present);
  present.back() = false;
  j.before = j.pool.right(present);
  j.forced = contribution::paired_change(j.before, j.after);
  j.verdict = contribution::decide(j.forced, j.own.accuracy, j.own.majority);
  return j;
}

Json candidate_json(const registry::Package& package) {
  const registry::Manifest& manifest = package.manifest;
  return {{"name", manifest.expert.name},
          {"id", manifest.expert.id},
          {"version", manifest.expert.version.text()},
          {"sha256", package.manifest_sha256},
          {"domain", manifest.task.domain},
          {"label_space", manifest.task.label_space}};
}

// What it was judged against and on, so that the verdict can be checked again.
Json provenance_json(pipeline::Pool& pool, const std::vector<training::ChosenTexts>& chosen,
                     const AdmitOptions& options) {
  Json experts = Json::object(), data = Json::object();
  for (const InstalledExpert& expert : pool.experts()) experts[expert.name] = expert.sha256();
  for (const training::ChosenTexts& part : chosen) {
    data[part.dataset->domain] = {{"sha256", part.dataset->sha256},
                                  {"texts", part.examples.size()}};
  }
  return {
      {"data", data},
      {"pool", experts},
      {"encoder", pool.encoder() == nullptr ? Json(nullptr) : Json(pool.encoder()->fingerprint())},
      {"seed", options.seed},
      {"permutations", options.permutations},
      {"command", options.command}};
}

void warn_of_seen_texts(const training::AnsweredTexts& rows, Log log) {
  if (rows.seen.back() == 0) return;
  log.warning(
      fmt::format("the candidate has no held-out logits here: it may have trained on "
                  "{} of the texts of its own domain",
                  rows.seen.back()));
}

}  // namespace

Json run_admit(const AdmitOptions& options, const RunContext& context) {
  prepare(options);
  check_options(options);
  const registry::PackageFolder folder(options.package);
  const registry::Package package = registry::open_package(folder.path());
  const bool training_files = options.data.split.empty() || options.data.split == "train";
  const std::vector<data::Dataset> datasets = read_datasets(options.data, "train", context.log);
  pipeline::Pool pool(pool_options(options, context));
  require_pool(pool, options);
  const at::NoGradGuard no_grad;
  CollectingLog notes(context.log);
  const std::unique_ptr<Trial> opened = open_trial(pool, package, notes.log());
  const Trial& trial = *opened;
  const auto chosen = choose(pool, trial, datasets, training_files, options.seed);
  require_own_domain(trial, chosen);
  const fs::path path = verdict_path(options, package);

  const std::vector<encoder::PooledKey> features =
      trial.gate ? trial.gate->gate.features : std::vector<encoder::PooledKey>();
  const training::AnsweredTexts rows =
      training::collect_answered_texts(pool, trial.labels, trial.experts, features, chosen);
  if (training_files) warn_of_seen_texts(rows, notes.log());
  const auto fit = training_files ? std::optional(rows)
                                  : fitting_rows(pool, trial, options, features, notes.log());
  const Judgement judged = judge(trial, rows, fit);
  Json fitted = nullptr;
  if (trial.gate && trial.gate->gate.is_mlp()) {
    notes.log().note(
        "not judged under the fitted gate: it has a hidden layer, and rows are grown "
        "for linear gates only");
  } else if (trial.gate && fit && fit->index_of(trial.candidate.domain()) < 0) {
    notes.log().note(fmt::format(
        "not judged under the fitted gate: --data-dir has no training text of domain {} to fit its "
        "row on",
        trial.candidate.domain()));
  } else if (trial.gate && fit) {
    fitted = under_fitted_gate(trial, *fit, rows, options.texts);
    if (training_files)
      notes.keep("the row under the fitted gate was fitted on the texts that it is judged on");
  }
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);

  const int64_t needed = judged.verdict == contribution::Verdict::kUndecided
                             ? contribution::texts_needed(judged.forced)
                             : 0;
  const OwnDomain& own = judged.own;
  Json result = {
      {"schema", "moecollab.admission/1"},
      {"candidate", candidate_json(package)},
      {"verdict", contribution::name(judged.verdict)},
      {"reasons", reasons(judged.forced, own, judged.verdict)},
      {"texts_needed", needed > 0 ? Json(needed) : Json(nullptr)},
      {"margin", contribution::kMargin},
      {"forced_share", changes_json(rows, judged.before, judged.after)},
      {"own_domain", {{"n", own.n}, {"accuracy", own.accuracy}, {"majority", own.majority}}},
      {"fitted_gate", fitted},
      {"contributions", contributions(trial, judged.pool, options)},
      {"split", training_files ? "train (held out)" : options.data.split},
      {"notes", notes.texts()}};
  result.update(provenance_json(pool, chosen, options));
  write_file_atomic(path, to_text(result));
  result["file"] = path.string();
  return result;
}

}  // namespace moecollab::engine
