#include "base/strings.h"
#include "contribution/install.h"
#include "contribution/trained_expert.h"
#include "data/domain_name.h"
#include "engine/agreement.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"

namespace moecollab::engine {
namespace {

// What the ranks compute with beside data and registry.
Json asked_for(const contribution::ExpertPlan& plan) {
  return {{"kind", plan.kind.manifest_sha256},
          {"settings of the kind", plan.asked.config},
          {"recipe", to_json(plan.recipe)},
          {"resume", plan.asked.checkpoints.resume}};
}

}  // namespace

Json run_train_expert(const TrainExpertOptions& options, const RunContext& context) {
  prepare(options);
  require_fp32(options, context.log);
  contribution::ExpertOptions asked = options.expert;
  asked.seed = options.seed;
  asked.domain = data::domain_name(asked.domain, "`" + escaped(asked.domain, 80) + "`");
  const contribution::ExpertPlan plan = contribution::plan_expert(asked);
  const std::vector<data::Dataset> datasets = {contribution::read_training_file(
      with_registry(options.data, options.registry), asked.domain, context.log)};
  if (leads(context.ranks)) {
    contribution::ensure_registry(options.registry, new_registry_encoder(options), context.log);
    require_writable_parts(options.registry,
                           {registry::kExpertsFolder, registry::kHeldOutFolder,
                            registry::kHistoryFolder, registry::kCheckpointsFolder});
  }
  if (context.ranks != nullptr) context.ranks->exchange("registry is there", "");
  pipeline::PoolOptions open = pool_options(options, context);
  open.tolerate_refused = true;  // a broken neighbour is no reason not to train
  pipeline::Pool pool(open);
  share_work(pool, {&datasets}, options, asked_for(plan));
  const contribution::ExpertTrained trained =
      contribution::train_expert(plan, datasets.front(), pool);
  return leads(context.ranks) ? to_json(trained) : Json(nullptr);
}

}  // namespace moecollab::engine
