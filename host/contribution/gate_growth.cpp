#include "contribution/gate_growth.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/measure.h"
#include "base/strings.h"
#include "contribution/growth_texts.h"
#include "registry/registry_state.h"
#include "training/gate_fit_record.h"
#include "training/growth_guard.h"
#include "training/held_out_profile.h"
#include "training/replay_file.h"

namespace moecollab::contribution {
namespace {

using pipeline::InstalledExpert;
using training::GrowthGuard;

// New rows as they will be saved, and how they came about.
struct FoundRows {
  training::NewRows rows;
  bool prototype = false;
  std::vector<std::pair<std::string, double>> old_weights;  // of domains that weighed more than 1
  double lowered_by = 0;                                    // nats
  double seconds = 0;
};

// The texts of other label spaces than the new experts': unlabelled, a text says only which space
// should answer it, not which expert of that space.
training::AnsweredTexts unlike(const training::AnsweredTexts& texts,
                               const std::vector<InstalledExpert*>& newcomers) {
  if (texts.rows() == 0) return texts;
  return texts.select(texts.spaces.ne(newcomers.front()->labels.space).nonzero().flatten());
}

FoundRows find_rows(const OpenedGrowth& growth, const GrowthTexts& texts, const GrowthGuard& guard,
                    bool prototype, const training::ShareFit& shares) {
  const Stopwatch watch;
  FoundRows found;
  found.prototype = prototype;
  if (prototype) {
    found.rows = training::prototype_rows(growth.setting, texts.fresh.z);
  } else {
    const training::AnsweredTexts old =
        joined(texts.replay, unlike(texts.unseen, growth.newcomers));
    std::vector<double> weights;
    training::RowFit fit(growth.setting, texts.fresh, old, old.index_of(growth.domain), shares);
    found.rows = guard.sparing(fit, old.domains, weights);
    for (size_t d = 0; d < weights.size(); ++d) {
      if (weights[d] > 1) found.old_weights.emplace_back(old.domains[d], weights[d]);
    }
  }
  found.rows = guard.lowered(std::move(found.rows), found.lowered_by);
  found.seconds = watch.seconds();
  return found;
}

// Throws if an old domain loses too much, or if one could not be checked and `all` must be.
void apply_guard(const GrowthGuard& guard, const std::vector<GrowthGuard::Change>& changes,
                 const training::GrownGate& grown, const std::set<std::string>& unchecked,
                 bool all) {
  const auto require = [](const GrowthGuard::Change& c, const char* texts) {
    if (!c.too_much()) return;
    throw Error(
        "E_REQUIRE_GUARD",
        fmt::format("domain {} would lose {:.4f} accuracy on {} {} ({:.4f} -> {:.4f}), more "
                    "than {}; the gate is unchanged",
                    c.domain, c.before - c.after, c.texts, texts, c.before, c.after,
                    training::kGrowthGuard),
        "give more texts with --texts, or fit all rows again with `moecollab train-gate`");
  };
  for (const auto& change : changes) require(change, "replayed texts");
  for (const auto& change : guard.routing_changes(grown))
    require(change, "texts that its rows were not fitted on, going by where they are routed");
  if (!all || unchecked.empty()) return;
  const std::vector<std::string> names(unchecked.begin(), unchecked.end());
  throw Error(
      "E_REQUIRE_GUARD",
      fmt::format("guard: there is no replay of {}; the gate is unchanged", join(names, ", ")),
      "give their training data with --data-dir, or fit with `train-gate --keep-replay N`");
}

// Accuracy of the e-th expert on the new domain's held-out texts; nullopt if there is none.
std::optional<double> own_accuracy(const InstalledExpert& expert, size_t e,
                                   const GrowthTexts& texts) {
  int64_t right = 0, count = 0;
  const auto add = [&](const training::AnsweredTexts& part, int64_t n) {
    if (n == 0) return;
    right += training::right_alone(part, e, expert.labels).narrow(0, 0, n).sum().item<int64_t>();
    count += n;
  };
  add(texts.fresh, texts.fresh_held_out);
  add(texts.judged, texts.judged.rows());
  if (count == 0) return std::nullopt;
  return static_cast<double>(right) / static_cast<double>(count);
}

// A declared prior has a share for each row: a new row gets an even one, the others keep their
// proportions. The fit of the new rows does not use it.
void extend_prior(std::vector<double>& prior, size_t new_rows) {
  if (prior.empty()) return;
  const auto old = static_cast<double>(prior.size()), all = old + static_cast<double>(new_rows);
  for (double& share : prior) share *= old / all;
  prior.resize(prior.size() + new_rows, 1 / all);
}

// What unknown domains and drift are recognised by, measured again if all old domains are replayed.
void measure_again(const OpenedGrowth& growth, const training::GrownGate& grown,
                   const GrowthTexts& texts, Log log, pipeline::GateFile& file) {
  file.metrics.erase("profile");
  if (!texts.unchecked.empty()) {
    log.note(
        "unknown_domain is still decided by the old gate's entropies, and drift is not seen, since "
        "not every old domain is replayed");
    return;
  }
  training::AnsweredTexts all = texts.fresh;
  for (const training::AnsweredTexts* part : {&texts.replay, &texts.judged}) {
    const bool twice = part == &texts.judged && texts.judged_is_replayed;
    if (part->rows() > 0 && !twice) all = joined(all, *part);
  }
  std::vector<std::string> names;
  for (const InstalledExpert* expert : growth.experts) names.push_back(expert->name);
  file.metrics["entropy_percentiles"] = gate::entropy_percentiles(grown.gate, all.z);
  if (texts.source != "data" || growth.experts.size() != file.rows.size()) {
    log.note(
        "drift is not seen: nobody has answered the new texts, or an expert of the gate is not "
        "ready");
    return;
  }
  file.metrics["profile"] = evaluation::to_json(training::held_out_profiles(
      grown, names, growth.setting.labels, file.fusion, file.top_k, all));
}

const std::string& guarded(const OpenedGrowth& growth, const training::NewRows& rows) {
  return growth.experts[static_cast<size_t>(rows.guard->expert)]->name;
}

const std::string& name_of_space(const OpenedGrowth& growth) {
  const auto space = static_cast<size_t>(growth.setting.experts.back().space);
  return growth.setting.labels.spaces()[space].name;
}

// The rows below those of the file, and in a gate of two factors what becomes of the shares of the
// old experts of that space.
void add_rows(const OpenedGrowth& growth, const training::NewRows& rows, pipeline::GateFile& file) {
  std::vector<int64_t> sharing;
  for (const int64_t e : growth.setting.sharing()) {
    const std::string& name = growth.experts[static_cast<size_t>(e)]->name;
    sharing.push_back(std::ranges::find(file.rows, name, &pipeline::GateRow::name) -
                      file.rows.begin());
  }
  file.gate = training::extended(file.gate, rows, sharing);
  if (!rows.shares) return;
  const std::string space = name_of_space(growth);
  for (pipeline::GateRow& row : file.rows) {
    if (row.space != space) continue;
    row.pool = rows.shares->pool;
    if (rows.shares_are_fitted && file.metrics.contains("share_guard"))
      file.metrics["share_guard"].erase(row.name);
  }
  if (rows.guard) file.metrics["share_guard"][guarded(growth, rows)] = to_json(*rows.guard);
}

// In two factors: what the guard changed, and that routing stays as it was if the space is known.
void note_shares(const OpenedGrowth& growth, const training::NewRows& rows, Log log) {
  if (rows.guard) log.note(description(*rows.guard, guarded(growth, rows)));
  if (!rows.shares || rows.weight.defined() || growth.stored.file.data.contains(growth.domain))
    return;
  log.note(fmt::format(
      "label space {} has a row in the gate, which stays as it is: texts of {} are routed as those "
      "that it was fitted on; `moecollab train-gate` with its data teaches it the new ones",
      name_of_space(growth), growth.domain));
}

// The stored file with the new rows, whatever of its old rows takes part now.
pipeline::GateFile grown_file(const OpenedGrowth& growth, const training::NewRows& rows,
                              const GrowthTexts& texts, const GrowthRecord& record,
                              const std::vector<data::Dataset>& datasets) {
  pipeline::GateFile file = growth.stored.file;
  add_rows(growth, rows, file);
  extend_prior(file.prior, growth.newcomers.size());
  for (size_t i = 0; i < growth.newcomers.size(); ++i) {
    const InstalledExpert& expert = *growth.newcomers[i];
    const size_t e = growth.experts.size() - growth.newcomers.size() + i;
    const registry::Manifest& manifest = expert.package.manifest;
    const bool known = texts.source == "data" && texts.fresh.seen[e] == 0 &&
                       (texts.judged.seen.empty() || texts.judged.seen[e] == 0);
    file.rows.push_back({expert.name, manifest.expert.id, manifest.expert.version.text(),
                         expert.sha256(), expert.labels.temperature, known, name_of_space(growth),
                         rows.shares ? rows.shares->pool : fusion::OpinionPool::kLinear});
    if (texts.source == "data") {
      if (const auto accuracy = own_accuracy(expert, e, texts))
        file.metrics["expert_accuracy"][expert.name] = *accuracy;
    }
  }
  for (const data::Dataset& dataset : datasets) file.data[dataset.domain] = dataset.sha256;
  file.metrics["growth"].push_back(to_json(record));
  return file;
}

// If rows were kept before, the new domain's are kept too.
void keep_replay(const OpenedGrowth& growth, const pipeline::Pool& pool, const GrowthTexts& texts,
                 const registry::Change& change, pipeline::GateFile& file) {
  if (texts.source != "data") return;
  const auto kept = training::read_replay(pool.options().registry,
                                          file.metrics.value("replay_sha256", std::string()));
  if (!kept) return;
  const auto& features = growth.setting.gate.features;
  const training::AnsweredTexts old =
      training::kept_texts(*kept, pool, growth.experts, features, {growth.domain});
  file.metrics["replay_sha256"] = training::write_replay(
      change.staging(), training::to_replay(joined(old, texts.fresh), pool, growth.experts,
                                            features, std::numeric_limits<int64_t>::max()));
}

void put_grown(const OpenedGrowth& growth, const pipeline::Pool& pool, const GrowthTexts& texts,
               pipeline::GateFile& file, registry::Change& change) {
  keep_replay(growth, pool, texts, change, file);
  pipeline::write_gate(change.staging(), file);
}

void write_grown(const OpenedGrowth& growth, const pipeline::Pool& pool, const GrowthTexts& texts,
                 pipeline::GateFile& file) {
  const fs::path& registry = pool.options().registry;
  const FileLock lock = registry::lock_registry(registry, pool.context().log);
  registry::Change change(registry, lock, pool.context().log);
  if (registry::read_state(registry).gate != pool.state().gate) {
    throw Error("E_GATE",
                "the gate was changed while the new rows were fitted; it is left as it is",
                "run `grow` again");
  }
  put_grown(growth, pool, texts, file, change);
  change.commit(pool.options().note);
}

// Before and after, on texts that nothing was fitted on: those of a known domain are replayed.
std::optional<AccuracyChange> judge_new_domain(const OpenedGrowth& growth,
                                               const training::GrownGate& grown,
                                               const GrowthTexts& texts, const GrowthGuard& guard) {
  if (texts.judged.rows() == 0 || texts.judged_is_replayed) return std::nullopt;
  const auto accuracy = [&](const training::GrownGate& gate) {
    return guard.right(gate, texts.judged).mean().item<double>();
  };
  return AccuracyChange{texts.judged.rows(), accuracy(before(growth.setting)), accuracy(grown)};
}

}  // namespace

void check(const GrowthOptions& options) {
  if (options.texts < 1)
    throw Error("E_CONFIG", fmt::format("texts is {}, expected at least 1", options.texts));
  if (std::set<std::string>(options.names.begin(), options.names.end()).size() !=
      options.names.size())
    throw Error("E_CONFIG", "an expert is named twice");
}

GrowthResult grow_gate(pipeline::Pool& pool, const OpenedGrowth& growth,
                       std::vector<data::Dataset> datasets, const GrowthOptions& options,
                       uint64_t seed, registry::Change* within) {
  const at::NoGradGuard no_grad;
  datasets = files_of_growth(pool, growth, std::move(datasets));
  const GrowthTexts texts = collect_growth_texts(pool, growth, datasets, options.texts, seed);
  const GrowthGuard guard(growth.setting, growth.stored.fusion, growth.stored.top_k, texts.replay,
                          texts.unseen);
  const FoundRows found =
      find_rows(growth, texts, guard, options.prototype || texts.source == "mean",
                {seed, growth.stored.file.fit.value("guard", true), pool.context().stop});
  const training::GrownGate grown = training::grown(growth.setting, found.rows);
  const std::vector<GrowthGuard::Change> changes = guard.changes(grown);
  apply_guard(guard, changes, grown, texts.unchecked, options.guard);

  note_shares(growth, found.rows, pool.context().log);

  GrowthResult result;
  result.gate = registry::gate_folder(pool.options().registry);
  result.record = {options.names,       growth.domain,     texts.fresh.rows(), texts.source,
                   found.prototype,     found.old_weights, found.lowered_by,   seed,
                   texts.replay.rows(), texts.unchecked};
  if (!found.prototype && found.rows.weight.defined()) result.loss = found.rows.loss;
  result.iterations = found.rows.iterations;
  result.fit_seconds = found.seconds;
  result.new_domain = judge_new_domain(growth, grown, texts, guard);
  for (const auto& change : changes)
    result.old_domains.emplace_back(change.domain,
                                    AccuracyChange{change.texts, change.before, change.after});

  pipeline::GateFile file = grown_file(growth, found.rows, texts, result.record, datasets);
  result.rows = file.rows.size();
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  measure_again(growth, grown, texts, pool.context().log, file);
  if (within != nullptr) {
    put_grown(growth, pool, texts, file, *within);
  } else {
    write_grown(growth, pool, texts, file);
  }
  return result;
}

}  // namespace moecollab::contribution
