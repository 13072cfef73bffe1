#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <set>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/open_gate.h"
#include "training/growth_guard.h"
#include "training/replay_file.h"
#include "training/routing_file.h"
#include "training/text_collection.h"

namespace moecollab::engine {
namespace {

using pipeline::InstalledExpert;

constexpr int64_t kUnseen = 2000;  // texts of an old domain that its rows were not fitted on

void check_options(const GrowOptions& options) {
  if (options.texts < 1)
    throw Error("E_CONFIG", fmt::format("--texts is {}, expected at least 1", options.texts));
  if (std::set<std::string>(options.names.begin(), options.names.end()).size() !=
      options.names.size())
    throw Error("E_CONFIG", "an expert is named twice");
}

InstalledExpert& find_newcomer(pipeline::Pool& pool, const pipeline::GateFile& gate,
                               const std::string& name) {
  std::vector<std::string> names;
  InstalledExpert* found = nullptr;
  for (InstalledExpert& expert : pool.experts()) {
    names.push_back(expert.name);
    if (expert.name == name) found = &expert;
  }
  if (found == nullptr) {
    throw Error("E_CONFIG",
                fmt::format("there is no expert {} that is ready{}", escaped(name, 80),
                            did_you_mean(name, names)),
                "`moecollab experts list` shows every one; `experts add` installs another");
  }
  for (const pipeline::GateRow& row : gate.rows) {
    if (row.name != name || row.sha256 != found->sha256()) continue;
    throw Error("E_CONFIG", fmt::format("expert {} has a row in the gate already", name),
                "`moecollab train-gate` fits all rows again");
  }
  return *found;
}

// Everything that one growth works on.
struct Growth {
  std::string digest;         // of gate.toml
  pipeline::GateFile stored;  // as it lies on disk, all rows
  fusion::Mode fusion = {};   // with which the gate will be read
  int64_t top_k = 0;
  std::vector<InstalledExpert*> experts;  // of the rows whose experts are ready, then the new ones
  std::vector<InstalledExpert*> newcomers;
  training::GrowthSetting setting;  // its gate: these rows
  std::string domain;               // the newcomers'
};

std::string gate_digest(const fs::path& registry) {
  const fs::path file = pipeline::gate_folder(registry) / "gate.toml";
  return fs::exists(file) ? file_sha256_hex(file, "E_GATE") : "";
}

Growth open_growth(pipeline::Pool& pool, const GrowOptions& options) {
  Growth growth;
  growth.digest = gate_digest(options.registry);
  LoadedGate loaded = load_gate(options.registry, std::nullopt, std::nullopt, pool.context().log);
  growth.stored = std::move(loaded.file);
  growth.fusion = loaded.fusion;
  growth.top_k = loaded.top_k;
  for (const std::string& name : options.names)
    growth.newcomers.push_back(&find_newcomer(pool, growth.stored, name));
  pipeline::RoutedGate routed = pipeline::open_gate(growth.stored, pool, options.names);
  growth.experts = std::move(routed.experts);
  growth.setting = {std::move(routed.gate), std::move(routed.labels), pool.labels()};
  growth.domain = growth.newcomers.front()->domain();
  for (InstalledExpert* expert : growth.newcomers) {
    if (expert->domain() != growth.domain) {
      throw Error("E_CONFIG",
                  fmt::format("expert {} is of domain {}, {} of {}", growth.newcomers.front()->name,
                              growth.domain, expert->name, expert->domain()),
                  "grow by the experts of one domain at a time");
    }
    growth.experts.push_back(expert);
    growth.setting.experts.push_back(expert->labels);
  }
  return growth;
}

// Whether somebody here knows the labels of the domain: not where its experts are all disabled.
bool is_answered(const pipeline::Pool& pool, const Growth& growth, const std::string& domain) {
  const auto stated = pool.registry().domains.find(domain);
  if (stated != pool.registry().domains.end())
    return pool.labels().find(stated->second).has_value();
  return std::any_of(growth.experts.begin(), growth.experts.end(),
                     [&](const InstalledExpert* e) { return e->domain() == domain; });
}

// The training files that this growth uses: the new domain's, and those that the gate was fitted
// on.
std::vector<data::Dataset> read_files(const GrowOptions& options, const pipeline::Pool& pool,
                                      const Growth& growth) {
  if (options.data.dir.empty() && options.data.files.empty()) return {};
  std::vector<data::Dataset> datasets;
  for (data::Dataset& dataset : read_datasets(options.data, "train", pool.context().log)) {
    if (dataset.domain == growth.domain) {
      datasets.push_back(std::move(dataset));
      continue;
    }
    const auto known = growth.stored.data.find(dataset.domain);
    if (known == growth.stored.data.end()) {
      pool.context().log.note(
          fmt::format("domain {} is neither new nor one that the gate was fitted on: left "
                      "out",
                      dataset.domain));
      continue;
    }
    if (!is_answered(pool, growth, dataset.domain)) {
      pool.context().log.note(
          fmt::format("domain {} has no expert that is ready: left out", dataset.domain));
      continue;
    }
    if (known->second != dataset.sha256) {
      throw Error("E_DATA_CHANGED",
                  fmt::format("{}: SHA-256 is {}, the gate was fitted on {}",
                              escaped(dataset.file.string()), dataset.sha256, known->second),
                  "give the file that the gate was fitted on, or leave the domain out");
    }
    datasets.push_back(std::move(dataset));
  }
  return datasets;
}

// The texts by what they are for.
struct Rows {
  training::AnsweredTexts fresh;    // of the new domain, to fit on
  int64_t fresh_held_out = 0;       // of these, the first ones
  training::AnsweredTexts judged;   // of the new domain, held out and not among those
  bool judged_is_replayed = false;  // the gate knew the domain: they are in `replay` too
  training::AnsweredTexts replay;   // of the old domains, held out from their experts
  training::AnsweredTexts unseen;   // of the old domains, not seen by their rows; no answers
  std::string source;               // data, routing or mean: where `fresh` comes from
  std::set<std::string> unchecked;  // old domains without replay
};

void warn_of_unknown(const training::AnsweredTexts& rows, const Growth& growth, Log log) {
  for (size_t e = 0; e < rows.seen.size(); ++e) {
    if (rows.seen[e] == 0) continue;
    log.warning(fmt::format(
        "expert {} may have trained on {} of the texts of its own domain, and then counts for more "
        "than it should",
        growth.experts[e]->name, rows.seen[e]));
  }
}

// N texts of the new domain, and the rest of its held-out ones.
void collect_from_file(pipeline::Pool& pool, const Growth& growth, const data::Dataset& dataset,
                       const GrowOptions& options, Rows& rows) {
  int64_t held_out = 0;
  const std::vector<int64_t> order = training::held_out_first(dataset, options.seed, held_out);
  const auto count = std::min(options.texts, static_cast<int64_t>(order.size()));
  const auto& features = growth.setting.gate.features;
  const int space = pool.space_of_domain(dataset.domain);
  const auto collect = [&](int64_t first, int64_t last) {
    return training::collect_answered_texts(
        pool, pool.labels(), growth.experts, features,
        {{&dataset, space, {order.begin() + first, order.begin() + last}}});
  };
  rows.fresh = collect(0, count);
  rows.fresh_held_out = std::min(count, held_out);
  if (count < held_out) rows.judged = collect(count, held_out);
  rows.source = "data";
  warn_of_unknown(rows.fresh, growth, pool.context().log);
}

void collect_from_package(const pipeline::Pool& pool, const Growth& growth, Rows& rows) {
  for (const InstalledExpert* expert : growth.newcomers) {
    const auto routing = training::read_routing(expert->package, *pool.encoder(),
                                                growth.setting.gate, pool.context().log);
    if (!routing) continue;
    const int64_t m = routing->z.size(0);
    rows.fresh.z = routing->z;
    rows.fresh.spaces = at::full({m}, expert->labels.space, at::kLong);
    rows.fresh.targets = at::full({m}, -1, at::kLong);
    for (const InstalledExpert* other : growth.experts)
      rows.fresh.logits.push_back(at::zeros({m, other->expert->classes()}));
    rows.source = routing->mean_only ? "mean" : "routing";
    return;
  }
  throw Error(
      "E_DATA",
      fmt::format("there is no training file for domain {}, and package {} has no "
                  "routing.safetensors",
                  escaped(growth.domain, 80), growth.newcomers.front()->name),
      fmt::format("give one with --data {}=FILE or --data-dir DIR", escaped(growth.domain, 80)));
}

// The old domains: held-out texts of their files, else what was kept of them.
void collect_replay(pipeline::Pool& pool, const Growth& growth,
                    const std::vector<data::Dataset>& datasets, const GrowOptions& options,
                    Rows& rows) {
  std::vector<training::ChosenTexts> chosen;
  std::set<std::string> covered;
  for (const data::Dataset& dataset : datasets) {
    if (dataset.domain == growth.domain) continue;
    int64_t held_out = 0;
    std::vector<int64_t> order = training::held_out_first(dataset, options.seed, held_out);
    order.resize(static_cast<size_t>(held_out));
    if (held_out > 0) covered.insert(dataset.domain);
    chosen.push_back({&dataset, pool.space_of_domain(dataset.domain), std::move(order)});
  }
  const auto& features = growth.setting.gate.features;
  rows.replay =
      training::collect_answered_texts(pool, pool.labels(), growth.experts, features, chosen);
  if (growth.stored.data.contains(growth.domain) && !rows.judged.domain_of.empty()) {
    // Another expert for a domain that the gate knows: its other texts are old ones too.
    rows.replay = joined(rows.replay, rows.judged);
    rows.judged_is_replayed = true;
    covered.insert(growth.domain);
  }
  const Json& kept = growth.stored.metrics;
  if (const auto replay = training::read_replay(
          options.registry, kept.value("replay_sha256", std::string()), pool.context().log)) {
    std::set<std::string> left_out = covered;
    for (const auto& [domain, sha256] : growth.stored.data) {
      if (!is_answered(pool, growth, domain)) left_out.insert(domain);
    }
    const training::AnsweredTexts old =
        training::kept_texts(*replay, pool, growth.experts, features, left_out);
    covered.insert(old.domains.begin(), old.domains.end());
    rows.replay = joined(rows.replay, old);
  }
  for (const auto& [domain, sha256] : growth.stored.data) {
    if (!covered.contains(domain)) rows.unchecked.insert(domain);
  }
}

// Texts that are not held out: the old rows were fitted on the held-out ones, and are surer of
// them.
void collect_unseen(pipeline::Pool& pool, const Growth& growth,
                    const std::vector<data::Dataset>& datasets, const GrowOptions& options,
                    Rows& rows) {
  std::vector<training::ChosenTexts> chosen;
  for (const data::Dataset& dataset : datasets) {
    if (dataset.domain == growth.domain) continue;
    int64_t held_out = 0;
    const std::vector<int64_t> order = training::held_out_first(dataset, options.seed, held_out);
    const auto last = std::min(static_cast<int64_t>(order.size()), held_out + kUnseen);
    chosen.push_back({&dataset,
                      pool.space_of_domain(dataset.domain),
                      {order.begin() + held_out, order.begin() + last}});
  }
  rows.unseen = training::collect_unanswered_texts(pool, growth.experts,
                                                   growth.setting.gate.features, chosen);
}

Json accuracies(int64_t texts, double before, double after) {
  return {{"texts", texts}, {"before", before}, {"after", after}};
}

// The texts of other label spaces than the new experts': unlabelled, a text says only which space
// should answer it, not which expert of that space.
training::AnsweredTexts unlike(const training::AnsweredTexts& texts,
                               const std::vector<InstalledExpert*>& newcomers) {
  if (texts.rows() == 0) return texts;
  return texts.select(texts.spaces.ne(newcomers.front()->labels.space).nonzero().flatten());
}

// Of the old domains that counted more than a new one would.
Json weights_of(const std::vector<std::string>& domains, const std::vector<double>& weights) {
  Json more = Json::object();
  for (size_t d = 0; d < weights.size(); ++d) {
    if (weights[d] > 1) more[domains[d]] = weights[d];
  }
  return more;
}

// Throws where an old domain loses too much, or where --guard asks for what was not checked.
void apply_guard(const training::GrowthGuard& guard, const gate::Gate& grown, const Rows& rows,
                 const GrowOptions& options) {
  const auto require = [](const training::GrowthGuard::Change& c, const char* texts) {
    if (!c.too_much()) return;
    throw Error(
        "E_REQUIRE_GUARD",
        fmt::format("domain {} would lose {:.4f} accuracy on {} {} ({:.4f} -> {:.4f}), more "
                    "than {}; the gate is unchanged",
                    c.domain, c.before - c.after, c.texts, texts, c.before, c.after,
                    training::kGrowthGuard),
        "give more texts with --texts, or fit all rows again with `moecollab train-gate`");
  };
  for (const auto& change : guard.changes(grown)) require(change, "replayed texts");
  for (const auto& change : guard.routing_changes(grown))
    require(change, "texts that its rows were not fitted on, going by where they are routed");
  if (!options.guard || rows.unchecked.empty()) return;
  const std::vector<std::string> names(rows.unchecked.begin(), rows.unchecked.end());
  throw Error(
      "E_REQUIRE_GUARD",
      fmt::format("--guard: there is no replay of {}; the gate is unchanged", join(names, ", ")),
      "give their training data with --data-dir, or fit with `train-gate --keep-replay N`");
}

// Of the e-th expert on the new domain's held-out texts; nullopt if there is none.
std::optional<double> own_accuracy(const InstalledExpert& expert, size_t e, const Rows& rows) {
  int64_t right = 0, count = 0;
  const auto add = [&](const training::AnsweredTexts& texts, int64_t n) {
    if (n == 0) return;
    right += training::right_alone(texts, e, expert.labels).narrow(0, 0, n).sum().item<int64_t>();
    count += n;
  };
  add(rows.fresh, rows.fresh_held_out);
  add(rows.judged, rows.judged.rows());
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

// What an unknown domain is told by, measured anew where all old domains are replayed.
void measure_entropies(const gate::Gate& grown, const Rows& rows, Log log,
                       pipeline::GateFile& file) {
  if (!rows.unchecked.empty()) {
    log.note(
        "unknown_domain is still told by the old gate's entropies, since not every old domain is "
        "replayed");
    return;
  }
  std::vector<at::Tensor> z;
  for (const training::AnsweredTexts* part : {&rows.fresh, &rows.replay, &rows.judged}) {
    const bool twice = part == &rows.judged && rows.judged_is_replayed;
    if (part->rows() > 0 && !twice) z.push_back(part->z);
  }
  file.metrics["entropy_percentiles"] = gate::entropy_percentiles(grown, at::cat(z));
}

// The stored file with the new rows, whatever of its old rows takes part now.
pipeline::GateFile grown_file(const Growth& growth, const training::NewRows& fitted,
                              const Rows& rows, const Json& record,
                              const std::vector<data::Dataset>& datasets) {
  pipeline::GateFile file = growth.stored;
  file.gate = training::extended(file.gate, fitted);
  extend_prior(file.prior, growth.newcomers.size());
  for (size_t i = 0; i < growth.newcomers.size(); ++i) {
    const InstalledExpert& expert = *growth.newcomers[i];
    const size_t e = growth.experts.size() - growth.newcomers.size() + i;
    const registry::Manifest& manifest = expert.package.manifest;
    const bool known = rows.source == "data" && rows.fresh.seen[e] == 0 &&
                       (rows.judged.seen.empty() || rows.judged.seen[e] == 0);
    file.rows.push_back({expert.name, manifest.expert.id, manifest.expert.version.text(),
                         expert.sha256(), expert.labels.temperature, known});
    if (rows.source == "data") {
      if (const auto accuracy = own_accuracy(expert, e, rows))
        file.metrics["expert_accuracy"][expert.name] = *accuracy;
    }
  }
  for (const data::Dataset& dataset : datasets) file.data[dataset.domain] = dataset.sha256;
  file.metrics["growth"].push_back(record);
  return file;
}

// Where rows were kept before, the new domain's are kept too.
void keep_replay(const Growth& growth, const pipeline::Pool& pool, const Rows& rows,
                 const GrowOptions& options, pipeline::GateFile& file) {
  const auto kept = training::read_replay(
      options.registry, file.metrics.value("replay_sha256", std::string()), pool.context().log);
  if (!kept || rows.source != "data") return;
  const training::AnsweredTexts old = training::kept_texts(
      *kept, pool, growth.experts, growth.setting.gate.features, {growth.domain});
  file.metrics["replay_sha256"] = training::write_replay(
      options.registry,
      training::to_replay(joined(old, rows.fresh), pool, growth.experts,
                          growth.setting.gate.features, std::numeric_limits<int64_t>::max()));
}

}  // namespace

Json run_grow(const GrowOptions& options, const RunContext& context) {
  prepare(options);
  check_options(options);
  pipeline::Pool pool(pool_options(options, context));
  pool.require_experts();
  const Growth growth = open_growth(pool, options);
  require_writable(pipeline::gate_folder(options.registry) / "gate.toml");
  const at::NoGradGuard no_grad;
  const std::vector<data::Dataset> datasets = read_files(options, pool, growth);
  Rows rows;
  const auto own = std::find_if(datasets.begin(), datasets.end(),
                                [&](const auto& d) { return d.domain == growth.domain; });
  if (own != datasets.end()) {
    collect_from_file(pool, growth, *own, options, rows);
  } else {
    collect_from_package(pool, growth, rows);
  }
  collect_replay(pool, growth, datasets, options, rows);
  collect_unseen(pool, growth, datasets, options, rows);

  const bool prototype = options.prototype || rows.source == "mean";
  const training::GrowthGuard guard(growth.setting, growth.fusion, growth.top_k, rows.replay,
                                    rows.unseen);
  const auto start = std::chrono::steady_clock::now();
  training::NewRows fitted;
  Json old_weights = Json::object();
  if (prototype) {
    fitted = training::prototype_rows(growth.setting, rows.fresh.z);
  } else {
    const training::AnsweredTexts old = joined(rows.replay, unlike(rows.unseen, growth.newcomers));
    std::vector<double> weights;
    training::RowFit fit(growth.setting, rows.fresh, old, old.index_of(growth.domain));
    fitted = guard.sparing(fit, old.domains, weights);
    old_weights = weights_of(old.domains, weights);
  }
  double lowered_by = 0;
  fitted = guard.lowered(std::move(fitted), lowered_by);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const gate::Gate grown = training::extended(growth.setting.gate, fitted);
  Json domains = Json::object();
  for (const auto& change : guard.changes(grown))
    domains[change.domain] = accuracies(change.texts, change.before, change.after);
  Json judged = nullptr;  // texts that nothing was fitted on: of a known domain they are replayed
  const training::AnsweredTexts& texts = rows.judged;
  if (texts.rows() > 0 && !rows.judged_is_replayed) {
    judged = accuracies(texts.rows(), guard.right(growth.setting.gate, texts).mean().item<double>(),
                        guard.right(grown, texts).mean().item<double>());
  }
  apply_guard(guard, grown, rows, options);

  const Json record = {{"experts", options.names},
                       {"domain", growth.domain},
                       {"texts", rows.fresh.rows()},
                       {"source", rows.source},
                       {"method", prototype ? "prototype" : "fit"},
                       {"old_weights", old_weights},
                       {"lowered_by", lowered_by},
                       {"seed", options.seed},
                       {"replay", rows.replay.rows()},
                       {"guard", rows.unchecked.empty() ? "passed" : "not checked"},
                       {"unchecked", rows.unchecked}};
  pipeline::GateFile file = grown_file(growth, fitted, rows, record, datasets);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  measure_entropies(grown, rows, context.log, file);
  const FileLock lock = contribution::lock_registry(options.registry, context.log);
  if (gate_digest(options.registry) != growth.digest) {
    throw Error("E_GATE",
                "the gate was changed while the new rows were fitted; it is left as it is",
                "run `grow` again");
  }
  keep_replay(growth, pool, rows, options, file);
  pipeline::write_gate(options.registry, file);

  Json result = {{"gate", pipeline::gate_folder(options.registry).string()}};
  result.update(record);
  result["rows"] = file.rows.size();
  result["loss"] = prototype ? Json(nullptr) : Json(fitted.loss);
  result["iterations"] = fitted.iterations;
  result["fit_seconds"] = seconds;
  result["new_domain"] = judged;
  result["old_domains"] = domains;
  return result;
}

}  // namespace moecollab::engine
