#include "ablation/upgraded_pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "pipeline/collaboration.h"
#include "registry/lock.h"
#include "registry/package.h"
#include "registry/registry_edit.h"
#include "registry/resolution.h"

namespace moecollab::ablation {
namespace {

// What the registry would say: no pin holds the expert, and the lock selects the version.
registry::RegistryState proposed(const pipeline::Pool& pool, const Upgrade& upgrade) {
  const fs::path& folder = pool.options().registry;
  registry::RegistryState state = pool.state();
  state.registry =
      registry::with_pin(state.registry, upgrade.name, std::nullopt, registry::kRegistryFile);
  registry::Lock lock = pool.lock();
  for (registry::LockEntry& entry : lock.entries) {
    if (entry.name != upgrade.name) continue;
    entry.version = upgrade.version;
    entry.manifest_sha256.clear();
  }
  state.lock = registry::lock_text(registry::resolved_lock(
      folder, registry::parse_registry(state.registry, registry::kRegistryFile), lock));
  return state;
}

pipeline::PoolOptions options_of(const pipeline::Pool& pool, const Upgrade& upgrade,
                                 const RunContext& context) {
  pipeline::PoolOptions open = pool.options();
  open.proposed = proposed(pool, upgrade);
  open.context = context;
  open.tolerate_refused = true;  // of the new version it is said below
  return open;
}

[[noreturn]] void refuse(const Upgrade& upgrade, const std::string& why) {
  throw Error(kNoUpgrade, fmt::format("{} {}: {}", upgrade.name, upgrade.version.text(), why));
}

void require_ready(const pipeline::Pool& pool, const Upgrade& upgrade) {
  const registry::Candidate* candidate = pool.candidate(upgrade.name);
  if (candidate != nullptr && candidate->refusal)
    refuse(upgrade, candidate->refusal->code + ": " + candidate->refusal->rule);
  pool.apply_policy(upgrade.name);
}

void require_part(const pipeline::RoutedGate& routed, const Upgrade& upgrade) {
  if (std::ranges::find(routed.rows, upgrade.name, &pipeline::GateRow::name) != routed.rows.end())
    return;
  for (const pipeline::RoutedGate::Unfitted& unfitted : routed.unfitted)
    if (unfitted.name == upgrade.name) refuse(upgrade, unfitted.standing.reason);
  refuse(upgrade, "it has no row in the gate");
}

std::string digest_of(const fs::path& package) {
  try {
    return registry::open_package(package).manifest_sha256;
  } catch (const Error&) {
    return "";
  }
}

}  // namespace

std::vector<Upgrade> upgrades_of(const pipeline::Pool& pool) {
  std::vector<Upgrade> upgrades;
  for (const registry::Candidate& candidate : pool.candidates()) {
    if (!candidate.newer) continue;
    upgrades.push_back({candidate.name, *candidate.newer,
                        digest_of(registry::version_folder(pool.options().registry, candidate.name,
                                                           *candidate.newer))});
  }
  return upgrades;
}

UpgradedPool::UpgradedPool(const Subject& subject, const Upgrade& upgrade,
                           const RunContext& context)
    : subject_(subject),
      pool_(std::make_unique<pipeline::Pool>(options_of(subject.pool, upgrade, context))),
      routed_((require_ready(*pool_, upgrade), pipeline::open_gate(subject.gate, *pool_))) {
  require_part(routed_, upgrade);
  judge_ = std::make_unique<Judge>(
      *pool_, subject.judged,
      pipeline::weight_caps(*pool_, pool_->all_experts(), routed_.unfitted));
}

Way UpgradedPool::same() {
  return way_of(routed_, *pool_, *judge_, subject_.fusion, subject_.top_k);
}

Way UpgradedPool::refitted(const training::GateTrainingOptions& settings,
                           const RunContext& context) {
  return Refit(*pool_, subject_.training, settings, subject_.top_k, *judge_).fit(settings, context);
}

}  // namespace moecollab::ablation
