#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/expert_list.h"
#include "registry/names.h"
#include "registry/operations.h"
#include "registry/trust.h"

namespace moecollab::engine {
namespace {

// A name of an upgrade stands for its newest installed version.
fs::path package_path(const fs::path& registry, const contribution::InstallOptions& install) {
  const std::string name = install.package.string();
  if (!install.upgrade || fs::exists(install.package) || !registry::is_name(name))
    return install.package;
  return registry::newest_of_range(registry, name);
}

std::optional<registry::Signer> trusted_signer(const registry::Package& package,
                                               const fs::path& folder) {
  const registry::RegistryFile registry = registry::read_registry(folder);
  const registry::Lock lock = registry::read_lock(folder);
  return registry::check_trust(package,
                               {.registry = registry,
                                .made_here = lock.made_here.contains(package.manifest_sha256),
                                .is_new = true,
                                .today = registry::today_utc()});
}

// Null for what is installed already or was trained here: it was judged then, or by its training.
Json judge(const registry::Package& package, const CommonOptions& options,
           const contribution::InstallOptions& install, const std::string& name,
           const ConformanceCheck& conformance) {
  const registry::RegistryFile registry = registry::read_registry(options.registry);
  const registry::Manifest& manifest = package.manifest;
  const bool known =
      registry::read_lock(options.registry).made_here.contains(package.manifest_sha256) ||
      fs::exists(registry::version_folder(options.registry, name, manifest.expert.version));
  if (registry.policy.conformance == 0 || known) return nullptr;
  const fs::path encoder = options.encoder.value_or(
      pipeline::encoder_settings(registry.encoder, options.registry).folder);
  return conformance(install.package, registry.policy.conformance,
                     manifest.input.needs_encoder() ? encoder : fs::path());
}

void refuse_kind(const registry::Package& package, const fs::path& path) {
  if (!package.manifest.is_kind()) return;
  throw Error("E_DESC_LABELS",
              fmt::format("{} has no labels: it is a kind to be trained, not an expert",
                          escaped(path.string())),
              fmt::format("train one with `moecollab train-expert NAME --kind {} --domain D`",
                          escaped(path.string())));
}

}  // namespace

Json run_experts_add(const CommonOptions& options, const contribution::InstallOptions& install,
                     const ConformanceCheck& conformance, const RunContext& context) {
  prepare(options);
  const registry::PackageFolder folder(package_path(options.registry, install));
  const registry::Package package = registry::open_package(folder.path());
  const std::string name = install.name.empty() ? package.manifest.expert.name : install.name;
  refuse_kind(package, install.package);
  if (!install.upgrade && !install.dry_run)
    contribution::ensure_registry(options.registry, new_registry_encoder(options), context.log);
  if (!install.dry_run) require_writable_parts(options.registry, {registry::kExpertsFolder});
  const std::optional<registry::Signer> signer = trusted_signer(package, options.registry);
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/false);
  open.note.reason = install.reason;
  if (install.upgrade) registry::require_upgrade(options.registry, package, name);
  const bool probed = contribution::check_package(open, package);
  const Json judged = judge(package, options, install, name, conformance);
  Json result = {{"name", name},
                 {"version", package.manifest.expert.version.text()},
                 {"sha256", package.manifest_sha256},
                 {"publisher", signer ? Json(signer->publisher) : Json(nullptr)},
                 {"probe", probed ? "passed" : "none"},
                 {"conformance", judged},
                 {"dry_run", install.dry_run},
                 {"change", nullptr}};
  if (install.dry_run) return result;
  if (const int64_t change = contribution::install(open, package, name)) result["change"] = change;
  const registry::CandidateView view = pipeline::view_of_one(options.registry, name);
  result["selected"] = view.package ? Json(view.package->manifest.expert.version.text()) : Json();
  result["state"] = registry::state_name(view.state);
  result["next"] = view.refusal && !view.refusal->hint.empty() ? Json(view.refusal->hint) : Json();
  return result;
}

}  // namespace moecollab::engine
