#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/claims.h"

namespace moecollab::engine {
namespace {

Json to_json(const evaluation::ClaimResult& result) {
  return {{"dataset", result.claim.dataset},
          {"split", result.claim.split},
          {"metric", result.claim.metric},
          {"value", result.claim.value},
          {"tolerance", result.claim.tolerance},
          {"verdict", evaluation::name(result.verdict)},
          {"seen", result.seen ? Json(*result.seen) : Json(nullptr)},
          {"texts", result.texts},
          {"reason", result.reason.empty() ? Json(nullptr) : Json(result.reason)}};
}

}  // namespace

Json run_experts_claims(const EvalOptions& options, const RunContext& context,
                        const std::string& name) {
  prepare(options);
  std::vector<data::Dataset> datasets;
  if (!options.data.dir.empty() || !options.data.files.empty())
    datasets =
        read_datasets(with_registry(options.data, options.registry), "test-else-dev", context.log);
  pipeline::PoolOptions open = pool_options(options, context);
  open.tolerate_refused = true;
  pipeline::Pool pool(open);
  Json experts = Json::array();
  std::vector<std::string> names;
  for (pipeline::InstalledExpert& expert : pool.experts()) {
    names.push_back(expert.name);
    if (!name.empty() && expert.name != name) continue;
    Json claims = Json::array();
    for (const evaluation::ClaimResult& result : evaluation::verify_claims(pool, expert, datasets))
      claims.push_back(to_json(result));
    experts.push_back({{"name", expert.name}, {"claims", claims}, {"refused", nullptr}});
  }
  for (const registry::Candidate& candidate : pool.candidates()) {
    names.push_back(candidate.name);
    if (!candidate.entry || !candidate.refusal || candidate.state == registry::State::kDisabled ||
        (!name.empty() && candidate.name != name))
      continue;
    experts.push_back({{"name", candidate.name},
                       {"claims", Json::array()},
                       {"refused", candidate.refusal->code + ": " + candidate.refusal->rule}});
  }
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  if (name.empty() || !experts.empty())
    return {{"registry", options.registry.string()}, {"experts", experts}};
  throw Error(
      "E_CONFIG",
      fmt::format("no expert \"{}\" is ready{}", escaped(name, 80), did_you_mean(name, names)),
      "`moecollab experts list` shows every one");
}

}  // namespace moecollab::engine
