#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/expert_list.h"
#include "registry/names.h"
#include "registry/operations.h"
#include "registry/quarantine.h"
#include "registry/trust.h"

namespace moecollab::engine {
namespace {

// A name of an upgrade stands for its newest installed version.
bool names_expert(const contribution::InstallOptions& install) {
  return install.upgrade && !fs::exists(install.package) &&
         registry::is_name(install.package.string());
}

// The package that is asked for, and what it is called here.
struct Arrival {
  Arrival(const CommonOptions& options, const contribution::InstallOptions& install)
      : path(names_expert(install)
                 ? registry::newest_of_range(options.registry, install.package.string())
                 : install.package),
        folder(path),
        package(registry::open_package(folder.path())),
        name(names_expert(install)  ? install.package.string()
             : install.name.empty() ? package.manifest.expert.name
                                    : install.name) {}

  fs::path path;  // a folder, or FILE.moec
  registry::PackageFolder folder;
  registry::Package package;
  std::string name;
  bool made_here = false;
};

void refuse_kind(const Arrival& arrival) {
  if (!arrival.package.manifest.is_kind()) return;
  throw Error("E_DESC_LABELS",
              fmt::format("{} has no labels: it is a kind to be trained, not an expert",
                          escaped(arrival.path.string())),
              fmt::format("train one with `moecollab train-expert NAME --kind {} --domain D`",
                          escaped(arrival.path.string())));
}

// Null for what is selected already or was trained here: it was judged then, or by its training.
Json judge(const Arrival& arrival, const CommonOptions& options,
           const ConformanceCheck& conformance) {
  const registry::RegistryFile registry = registry::read_registry(options.registry);
  const registry::Lock lock = registry::read_lock(options.registry);
  const registry::LockEntry* locked = lock.find(arrival.name);
  const bool selected =
      locked != nullptr && locked->manifest_sha256 == arrival.package.manifest_sha256;
  if (registry.policy.conformance == 0 || selected || arrival.made_here) return nullptr;
  const fs::path encoder = options.encoder.value_or(
      pipeline::encoder_settings(registry.encoder, options.registry).folder);
  return conformance(arrival.path, registry.policy.conformance,
                     arrival.package.manifest.input.needs_encoder() ? encoder : fs::path());
}

}  // namespace

Json run_experts_add(const CommonOptions& options, const contribution::InstallOptions& install,
                     const ConformanceCheck& conformance, const RunContext& context) {
  prepare(options);
  Arrival arrival(options, install);
  const registry::Package& package = arrival.package;
  const std::string& name = arrival.name;
  refuse_kind(arrival);
  if (!install.upgrade && !install.dry_run)
    contribution::ensure_registry(options.registry, new_registry_encoder(options), context.log);
  if (!install.dry_run) require_writable_parts(options.registry, {registry::kExpertsFolder});
  arrival.made_here = registry::was_made_here(options.registry, package.manifest_sha256);
  const registry::RegistryFile registry = registry::read_registry(options.registry);
  const std::optional<registry::Signer> signer =
      registry::check_trust(package, {.registry = registry,
                                      .made_here = arrival.made_here,
                                      .is_new = true,
                                      .today = registry::today_utc()});
  registry::require_not_quarantined(registry::read_lock(options.registry), package.manifest_sha256);
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/false);
  open.note.reason = install.reason;
  if (install.upgrade) registry::require_upgrade(options.registry, package, name);
  const bool probed = contribution::check_package(open, package);
  contribution::require_installable(options.registry, package, name);
  Json result = {{"name", name},
                 {"version", package.manifest.expert.version.text()},
                 {"sha256", package.manifest_sha256},
                 {"publisher", signer ? Json(signer->publisher) : Json(nullptr)},
                 {"probe", probed ? "passed" : "none"},
                 {"conformance", judge(arrival, options, conformance)},
                 {"dry_run", install.dry_run},
                 {"change", nullptr}};
  if (install.dry_run) return result;
  const auto origin =
      arrival.made_here ? contribution::Origin::kTrainedHere : contribution::Origin::kElsewhere;
  if (const int64_t change = contribution::install(open, package, name, origin))
    result["change"] = change;
  const registry::CandidateView view = pipeline::view_of_one(options.registry, name);
  result["selected"] = view.package ? Json(view.package->manifest.expert.version.text()) : Json();
  result["state"] = registry::state_name(view.state);
  result["next"] = view.refusal && !view.refusal->hint.empty() ? Json(view.refusal->hint) : Json();
  return result;
}

}  // namespace moecollab::engine
