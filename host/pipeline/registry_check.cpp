#include "pipeline/registry_check.h"

#include "base/error.h"
#include "pipeline/open_gate.h"

namespace moecollab::pipeline {
namespace {

// What `step` throws, as a finding.
template <typename Step>
void collect(const std::string& subject, std::vector<CheckFinding>& findings, Step step) {
  try {
    step();
  } catch (const Error& error) {
    if (error.code() == "E_INTERRUPTED") throw;
    findings.push_back({subject, registry::refusal_of(error)});
  }
}

bool is_needed(const registry::Candidate& candidate, const registry::RegistryFile& registry) {
  return candidate.entry && registry::is_refused(candidate.state) &&
         (registry.policy.on_missing == "fail" || candidate.entry->required);
}

}  // namespace

std::vector<CheckFinding> check_registry(PoolOptions options) {
  options.cache = nullptr;
  options.tolerate_refused = true;
  options.run_probes = true;
  std::vector<CheckFinding> findings;
  collect("registry", findings, [&] {
    if (registry::lock_is_lost(options.registry))
      throw Error("E_REG_MISSING", registry::kLockIsLost, registry::kLostLockHint);
  });
  collect("registry", findings, [&] {
    Pool pool(options);
    for (const registry::Candidate& candidate : pool.candidates()) {
      if (is_needed(candidate, pool.registry())) {
        findings.push_back({candidate.name, *candidate.refusal});
      } else if (candidate.edit && candidate.state == registry::State::kReady) {
        findings.push_back({candidate.name, *candidate.edit});
      }
    }
    collect("registry", findings, [&] { pool.require_experts(); });
    if (!pool.experts().empty())
      collect("gate", findings, [&] { open_gate(read_gate(pool), pool); });
  });
  return findings;
}

}  // namespace moecollab::pipeline
