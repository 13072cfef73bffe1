#include "pipeline/registry_check.h"

#include "engine/session.h"
#include "engine/verbs.h"

namespace moecollab::engine {

Json run_registry_check(const CommonOptions& options, const RunContext& context) {
  prepare(options);
  Json findings = Json::array();
  int status = 0;
  for (const pipeline::CheckFinding& finding :
       pipeline::check_registry(pool_options(options, context, /*cached=*/false))) {
    const bool whole = finding.subject == "registry" || finding.subject == "gate";
    status = whole || status == 4 ? 4 : 5;
    findings.push_back({{"subject", finding.subject},
                        {"code", finding.refusal.code},
                        {"reason", finding.refusal.rule},
                        {"hint", finding.refusal.hint}});
  }
  return {{"registry", options.registry.string()}, {"status", status}, {"findings", findings}};
}

}  // namespace moecollab::engine
