#include <fmt/format.h>

#include "base/error.h"
#include "contribution/integration.h"
#include "engine/gate_step.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/expert_list.h"

namespace moecollab::engine {
namespace {

std::vector<data::Dataset> training_files(const contribution::TrialFiles& files) {
  if (files.training) return files.judged;
  return files.fitting.value_or(std::vector<data::Dataset>());
}

contribution::JudgeOptions judging(const CommonOptions& options,
                                   const contribution::InstallOptions& install,
                                   const std::optional<contribution::TrialFiles>& files) {
  return {.admission = install.admission,
          .seed = options.seed,
          .split = files ? contribution::split_name(*files, install.data.split) : "",
          .command = options.command,
          .known_will_do = true,
          .kept = !install.dry_run};
}

}  // namespace

Json run_experts_add(const CommonOptions& options, const contribution::InstallOptions& install,
                     const contribution::ConformanceCheck& conformance, const RunContext& context) {
  prepare(options);
  contribution::GateStep step = settle_gate_step(options, install);
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/install.has_data());
  open.note.reason = install.reason;
  contribution::Integration integration(open, install);
  if (!install.upgrade && !install.dry_run)
    contribution::ensure_registry(options.registry, new_registry_encoder(options), context.log);
  if (!install.dry_run) require_writable_parts(options.registry, {registry::kExpertsFolder});
  std::optional<contribution::TrialFiles> files;
  if (install.has_data()) {
    require_fp32(options, context.log);
    files = read_trial_files(with_registry(install.data, options.registry), context.log);
  }
  if (step != contribution::GateStep::kNone && training_files(*files).empty()) {
    if (install.then)
      throw Error("E_CONFIG", fmt::format("--then {} without training files", name(step)),
                  "give them with --data-dir, or leave --split out");
    context.log.note("the gate is left as it is: no training files are given");
    step = contribution::GateStep::kNone;
  }
  integration.check(conformance, judging(options, install, files), files);
  if (install.dry_run) return integration.result();
  contribution::Integration::GateWork gate;
  if (step != contribution::GateStep::kNone) {
    gate = [&](pipeline::Pool& pool, registry::Change& change) {
      return carry_out(step, pool, integration.name(), training_files(*files), options, change);
    };
  }
  integration.take_over(gate);
  Json result = integration.result();
  const registry::CandidateView view = pipeline::view_of_one(options.registry, integration.name());
  result["selected"] = view.package ? Json(view.package->manifest.expert.version.text()) : Json();
  result["state"] = registry::state_name(view.state);
  result["next"] = view.refusal && !view.refusal->hint.empty() ? Json(view.refusal->hint) : Json();
  return result;
}

}  // namespace moecollab::engine
