#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/expert_list.h"
#include "pipeline/instantiate.h"
#include "pipeline/probe.h"
#include "registry/trust.h"

namespace moecollab::engine {
namespace {

pipeline::PoolOptions tolerant_options(const CommonOptions& options, const RunContext& context) {
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/false);
  open.tolerate_refused = true;
  return open;
}

// The registry's lock for a verb that can also do without writing; nothing is locked, and a warning
// says why, if this user cannot write there.
std::optional<FileLock> lock_if_writable(const fs::path& registry, Log log) {
  registry::registry_text(registry);
  try {
    require_writable(registry / registry::kLockFile);
    return contribution::lock_registry(registry, log);
  } catch (const Error& error) {
    if (error.code() != "E_WRITE") throw;
    log.warning(fmt::format("{} is not written: {}", registry::kLockFile, error.what()),
                "the checks below are those of now");
    return std::nullopt;
  }
}

[[noreturn]] void refuse_name(const std::string& name, const pipeline::Pool& pool) {
  std::vector<std::string> names;
  for (const registry::Candidate& candidate : pool.candidates()) names.push_back(candidate.name);
  throw Error(
      "E_CONFIG",
      fmt::format("there is no expert \"{}\"{}", escaped(name, 80), did_you_mean(name, names)),
      "`moecollab experts list` shows every one");
}

}  // namespace

Json run_experts_list(const CommonOptions& options, const RunContext& context) {
  prepare(options);
  const pipeline::Pool pool(tolerant_options(options, context));
  Json experts = Json::array();
  for (const registry::CandidateView& expert : pipeline::list_experts(pool))
    experts.push_back(expert.to_json());
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
  require_writable_parts(options.registry, {registry::kExpertsFolder});
  const std::optional<registry::Signer> signer =
      registry::check_signature(folder.path(), registry::read_registry(options.registry).trust);
  pipeline::PoolOptions open = tolerant_options(options, context);
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
    probed = pipeline::check_probe(package, *expert, pool.probe_encoder());
  }
  contribution::install(options.registry, package, name, context.log);
  contribution::refresh_lock(pool_options(options, context, /*cached=*/false));
  const registry::CandidateView view = pipeline::view_of_one(options.registry, name, context.log);
  return {{"name", name},
          {"version", package.manifest.expert.version.text()},
          {"sha256", package.manifest_sha256},
          {"publisher", signer ? Json(signer->publisher) : Json(nullptr)},
          {"probe", probed ? "passed" : "none"},
          {"selected", view.package ? Json(view.package->manifest.expert.version.text()) : Json()},
          {"state", registry::state_name(view.state)},
          {"next", view.refusal ? Json(view.refusal->hint) : Json(nullptr)}};
}

Json run_experts_verify(const CommonOptions& options, const RunContext& context,
                        const std::string& name) {
  prepare(options);
  const std::optional<FileLock> lock = lock_if_writable(options.registry, context.log);
  pipeline::PoolOptions open = tolerant_options(options, context);
  open.run_probes = true;
  pipeline::Pool pool(open);
  if (lock) contribution::update_lock(pool, pool.experts());
  Json verified = Json::array();
  for (const registry::CandidateView& expert : pipeline::verified_experts(pool)) {
    if (name.empty() || expert.name == name) verified.push_back(expert.to_json());
  }
  if (!name.empty() && verified.empty()) refuse_name(name, pool);
  return {{"registry", options.registry.string()},
          {"lock_written", lock.has_value()},
          {"experts", verified}};
}

}  // namespace moecollab::engine
