#include "engine/gate_step.h"

#include "base/error.h"
#include "contribution/gate_fit.h"
#include "contribution/gate_growth.h"
#include "data/hold_out.h"
#include "engine/loaded_gate.h"
#include "engine/verbs.h"

namespace moecollab::engine {
namespace {

using contribution::GateStep;

Json grow(pipeline::Pool& pool, const std::string& name, std::vector<data::Dataset> datasets,
          const CommonOptions& options, registry::Change& change) {
  contribution::GrowthOptions growth;
  growth.names = {name};
  LoadedGate gate = load_gate(pool, std::nullopt, std::nullopt, pool.context().log);
  const contribution::OpenedGrowth opened = contribution::open_growth(
      pool, {std::move(gate.file), gate.fusion, gate.top_k}, growth.names);
  return to_json(
      contribution::grow_gate(pool, opened, std::move(datasets), growth, options.seed, &change));
}

training::GateTrainingOptions settings_for(const pipeline::Pool& pool,
                                           const CommonOptions& options) {
  const Log log = pool.context().log;
  training::GateTrainingOptions settings;
  if (pool.state().gate) {
    settings = training::settings_of(pipeline::read_gate(pool), log);
  } else {
    training::settle_for(options.compute.device, settings, log);
  }
  settings.seed = options.seed;
  training::validate(settings);
  return settings;
}

}  // namespace

GateStep settle_gate_step(const CommonOptions& options,
                          const contribution::InstallOptions& install) {
  const bool has_gate = fs::exists(registry::gate_file(options.registry));
  const GateStep usual = install.has_data() && has_gate ? GateStep::kGrow : GateStep::kNone;
  const GateStep step = install.then.value_or(usual);
  if (step != GateStep::kNone && !install.has_data()) {
    throw Error("E_CONFIG", fmt::format("--then {} without data", contribution::name(step)),
                "give training files with --data-dir or --data DOMAIN=FILE");
  }
  return step;
}

Json carry_out(GateStep step, pipeline::Pool& pool, const std::string& name,
               std::vector<data::Dataset> datasets, const CommonOptions& options,
               registry::Change& change) {
  pool.apply_policy();
  if (step == GateStep::kGrow) return grow(pool, name, std::move(datasets), options, change);
  data::require_held_out(datasets);
  return summary(
      contribution::fit_and_write_gate(pool, datasets, settings_for(pool, options), &change));
}

}  // namespace moecollab::engine
