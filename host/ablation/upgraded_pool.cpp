#include "ablation/upgraded_pool.h"

#include "pipeline/collaboration.h"
#include "registry/lock.h"
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

pipeline::PoolOptions options_of(const pipeline::Pool& pool, const Upgrade& upgrade) {
  pipeline::PoolOptions open = pool.options();
  open.proposed = proposed(pool, upgrade);
  open.context.log = {};  // the step's way to answer is what it is about
  return open;
}

}  // namespace

std::vector<Upgrade> upgrades_of(const pipeline::Pool& pool) {
  std::vector<Upgrade> upgrades;
  for (const registry::Candidate& candidate : pool.candidates())
    if (candidate.newer) upgrades.push_back({candidate.name, *candidate.newer});
  return upgrades;
}

UpgradedPool::UpgradedPool(const Subject& subject, const Upgrade& upgrade)
    : subject_(subject),
      pool_(std::make_unique<pipeline::Pool>(options_of(subject.pool, upgrade))),
      routed_(pipeline::open_gate(subject.gate, *pool_)),
      judge_(std::make_unique<Judge>(
          *pool_, subject.judged,
          pipeline::weight_caps(*pool_, pool_->all_experts(), routed_.unfitted))) {}

Way UpgradedPool::same() {
  return way_of(routed_, *pool_, *judge_, subject_.fusion, subject_.top_k);
}

Way UpgradedPool::refitted(const training::GateTrainingOptions& settings,
                           const RunContext& context) {
  return Refit(*pool_, subject_.training, settings, subject_.top_k, *judge_).fit(settings, context);
}

}  // namespace moecollab::ablation
