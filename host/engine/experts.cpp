#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/session.h"
#include "engine/stock_plugins.h"
#include "engine/verbs.h"
#include "pipeline/instantiate.h"
#include "pipeline/probe.h"
#include "registry/trust.h"

namespace moecollab::engine {
namespace {

Json candidate_json(const registry::Candidate& candidate) {
  Json entry = {{"name", candidate.name},
                {"state", registry::to_text(candidate.state)},
                {"code", nullptr},
                {"reason", nullptr},
                {"hint", nullptr},
                {"version", nullptr},
                {"id", nullptr},
                {"domain", nullptr},
                {"label_space", nullptr},
                {"sha256", nullptr},
                {"entry", candidate.entry.has_value()}};
  if (candidate.refusal) {
    entry["code"] = candidate.refusal->code;
    entry["reason"] = candidate.refusal->rule;
    entry["expected"] = candidate.refusal->expected;
    entry["seen"] = candidate.refusal->seen;
    entry["hint"] = candidate.refusal->hint;
    if (candidate.refusal->hint.empty() && candidate.package) {
      entry["hint"] = fmt::format("`moecollab validate {}` shows what is wrong with it",
                                  candidate.package->folder.string());
    }
  }
  if (candidate.package) {
    const registry::Manifest& manifest = candidate.package->manifest;
    entry["version"] = manifest.expert.version.text();
    entry["id"] = manifest.expert.id;
    entry["domain"] = manifest.task.domain;
    entry["label_space"] = manifest.task.label_space;
    entry["labels"] = manifest.task.labels;
    entry["sha256"] = candidate.package->manifest_sha256;
  }
  return entry;
}

// An expert that is ready but has no row of the gate takes no part: `unrouted`.
void mark_unrouted(Json& experts, const fs::path& registry, Log log) {
  std::vector<std::string> routed;
  try {
    for (const pipeline::GateRow& row : pipeline::read_gate(registry, log).rows)
      routed.push_back(row.name);
  } catch (const Error&) {
    // No gate, or an unreadable one: then nobody is routed, and eval says why.
  }
  for (Json& expert : experts) {
    const auto name = expert["name"].get<std::string>();
    if (expert["state"] == registry::to_text(registry::State::kReady) &&
        std::find(routed.begin(), routed.end(), name) == routed.end()) {
      expert["state"] = registry::to_text(registry::State::kUnrouted);
      expert["reason"] = "it has no row in the gate";
      expert["hint"] = fmt::format(
          "fit its row with `moecollab grow {}`, or all rows with `moecollab train-gate`", name);
    }
  }
}

Json list_of(const pipeline::Pool& pool) {
  Json list = Json::array();
  for (const registry::Candidate& candidate : pool.candidates())
    list.push_back(candidate_json(candidate));
  return list;
}

}  // namespace

Json run_experts_list(const CommonOptions& options, const RunContext& context) {
  prepare(options);
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/false);
  open.tolerate_refused = true;
  const pipeline::Pool pool(open);
  Json experts = list_of(pool);
  mark_unrouted(experts, options.registry, context.log);
  return {{"registry", options.registry.string()}, {"experts", experts}};
}

Json run_experts_add(const CommonOptions& options, const RunContext& context,
                     const fs::path& package_path, const std::string& wanted_name) {
  prepare(options);
  const registry::PackageFolder folder(package_path);
  const registry::Package package = registry::open_package(folder.path());
  const std::string name = wanted_name.empty() ? package.manifest.expert.name : wanted_name;
  if (package.manifest.is_kind()) {
    throw Error("E_DESC_LABELS",
                fmt::format("{} has no labels: it is a kind to be trained, not an expert",
                            escaped(package_path.string())),
                fmt::format("train one with `moecollab train-expert NAME --kind {} --domain D`",
                            escaped(package_path.string())));
  }
  contribution::ensure_registry(options.registry, new_registry_encoder(options), context.log);
  require_writable(options.registry / registry::kRegistryFile);
  const std::optional<registry::Signer> signer =
      registry::check_signature(folder.path(), registry::read_registry(options.registry).trust);
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/false);
  open.tolerate_refused = true;
  bool probed = false;
  {
    pipeline::Pool pool(open);
    const std::vector<registry::Refusal> reasons =
        registry::check(package.manifest, pipeline::host_facts(pool.encoder()));
    if (!reasons.empty())
      throw Error(reasons.front().code, reasons.front().rule, reasons.front().hint);
    fusion::LabelUnion labels = pool.labels();
    labels.add({package.manifest.task.label_space, package.manifest.task.labels},
               package.manifest.task.partial, "the package");
    const auto expert = pipeline::instantiate(package, pool.encoder(), open.compute, context);
    probed = pipeline::check_probe(package, *expert, pool.encoder());
  }
  contribution::install(options.registry, package, name, context.log);
  refresh_lock(options, context);
  return {{"name", name},
          {"version", package.manifest.expert.version.text()},
          {"sha256", package.manifest_sha256},
          {"publisher", signer ? Json(signer->publisher) : Json(nullptr)},
          {"probe", probed ? "passed" : "none"},
          {"state", registry::to_text(registry::State::kUnrouted)}};
}

Json run_experts_verify(const CommonOptions& options, const RunContext& context,
                        const std::string& name) {
  prepare(options);
  require_writable(options.registry / registry::kLockFile);
  const FileLock lock = contribution::lock_registry(options.registry, context.log);
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/false);
  open.tolerate_refused = true;
  open.run_probes = true;
  pipeline::Pool pool(open);
  contribution::update_lock(pool, pool.experts());
  Json verified = Json::array();
  for (const registry::Candidate& candidate : pool.candidates()) {
    if (!name.empty() && candidate.name != name) continue;
    Json entry = candidate_json(candidate);
    entry["probe"] = "none";
    for (const pipeline::InstalledExpert& expert : pool.experts()) {
      if (expert.name == candidate.name && expert.probed) entry["probe"] = "passed";
    }
    verified.push_back(std::move(entry));
  }
  if (!name.empty() && verified.empty()) {
    std::vector<std::string> names;
    for (const registry::Candidate& candidate : pool.candidates()) names.push_back(candidate.name);
    throw Error("E_CONFIG", fmt::format("there is no expert {}{}", escaped(name, 80),
                                        did_you_mean(name, names)));
  }
  return {{"registry", options.registry.string()}, {"experts", verified}};
}

}  // namespace moecollab::engine
