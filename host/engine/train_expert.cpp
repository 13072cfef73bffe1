#include "base/strings.h"
#include "contribution/install.h"
#include "contribution/trained_expert.h"
#include "data/domain_name.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"

namespace moecollab::engine {

Json run_train_expert(const TrainExpertOptions& options, const RunContext& context) {
  prepare(options);
  require_fp32(options, context.log);
  contribution::ExpertOptions asked = options.expert;
  asked.seed = options.seed;
  asked.domain = data::domain_name(asked.domain, "`" + escaped(asked.domain, 80) + "`");
  const contribution::ExpertPlan plan = contribution::plan_expert(asked);
  const data::Dataset dataset = contribution::read_training_file(
      with_registry(options.data, options.registry), asked.domain, context.log);
  contribution::ensure_registry(options.registry, new_registry_encoder(options), context.log);
  require_writable_parts(options.registry,
                         {registry::kExpertsFolder, registry::kHeldOutFolder,
                          registry::kHistoryFolder, registry::kCheckpointsFolder});
  pipeline::PoolOptions open = pool_options(options, context);
  open.tolerate_refused = true;  // a broken neighbour is no reason not to train
  pipeline::Pool pool(open);
  return to_json(contribution::train_expert(plan, dataset, pool));
}

}  // namespace moecollab::engine
