#include "pipeline/registry_check.h"

#include "base/error.h"
#include "pipeline/open_gate.h"
#include "registry/damaged_state.h"

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

// Damage is a finding whatever on_missing makes of it.
bool is_finding(const registry::Candidate& candidate, const registry::RegistryFile& registry) {
  if (!candidate.entry || !registry::is_refused(candidate.state)) return false;
  return candidate.refusal->code != "E_REG_MISSING" || candidate.entry->required ||
         registry.policy.on_missing == "fail";
}

}  // namespace

std::vector<CheckFinding> check_registry(PoolOptions options) {
  options.cache = nullptr;
  options.tolerate_refused = true;
  options.run_probes = true;
  std::vector<CheckFinding> findings;
  collect("registry", findings, [&] {
    if (const auto lost = registry::lost_lock(options.registry))
      throw Error("E_REG_MISSING", lost->what, lost->hint);
  });
  collect("registry", findings, [&] {
    Pool pool(options);
    for (const registry::Candidate& candidate : pool.candidates()) {
      if (is_finding(candidate, pool.registry())) {
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
