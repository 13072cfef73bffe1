#include "contribution/gate_growth.h"
#include "engine/loaded_gate.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"

namespace moecollab::engine {

Json run_grow(const GrowOptions& options, const RunContext& context) {
  prepare(options);
  require_fp32(options, context.log);
  contribution::check(options.growth);
  pipeline::Pool pool(pool_options(options, context));
  pool.require_experts();
  pool.warn_of_edits();
  LoadedGate gate = load_gate(pool, std::nullopt, std::nullopt, context.log);
  const contribution::OpenedGrowth growth = contribution::open_growth(
      pool, {std::move(gate.file), gate.fusion, gate.top_k}, options.growth.names);
  require_writable_parts(options.registry, {registry::kGateFolder});
  std::vector<data::Dataset> datasets;
  if (!options.data.dir.empty() || !options.data.files.empty())
    datasets = read_datasets(with_registry(options.data, options.registry), "train", context.log);
  return to_json(
      contribution::grow_gate(pool, growth, std::move(datasets), options.growth, options.seed));
}

}  // namespace moecollab::engine
