#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/candidate_judgement.h"
#include "contribution/judgement.h"
#include "contribution/probation.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "registry/names.h"
#include "registry/registry_file.h"
#include "registry/trust.h"

namespace moecollab::engine {
namespace {

void require_pool(pipeline::Pool& pool) {
  if (!pool.experts().empty()) return;
  throw Error(
      "E_REG_EMPTY",
      fmt::format("{}: 0 experts installed: there is no pool to judge against",
                  escaped(pool.options().registry.string())),
      fmt::format("the first expert of a pool skips admission: `moecollab experts add`; or {}",
                  registry::kHowToNameOne));
}

std::unique_ptr<contribution::Trial> open_trial(
    const AdmitOptions& options, const std::optional<registry::PackageFolder>& folder,
    pipeline::Pool& pool, Log notes) {
  if (!folder) return contribution::open_trial(pool, options.package.string(), notes);
  const registry::Package package = registry::open_package(folder->path());
  return contribution::open_trial(pool, package, package.manifest.expert.name, notes);
}

contribution::JudgeOptions judging(const AdmitOptions& options,
                                   const contribution::TrialFiles& files) {
  return {.admission = options.admission,
          .seed = options.seed,
          .split = contribution::split_name(files, options.data.split),
          .command = options.command};
}

}  // namespace

Json run_admit(const AdmitOptions& options, const RunContext& context) {
  prepare(options);
  require_fp32(options, context.log);
  contribution::check(options.admission);
  const bool installed =
      !fs::exists(options.package) && registry::is_name(options.package.string());
  std::optional<registry::PackageFolder> folder;
  if (!installed) folder.emplace(options.package);
  const contribution::TrialFiles files =
      read_trial_files(with_registry(options.data, options.registry), context.log);
  pipeline::Pool pool(pool_options(options, context));
  require_pool(pool);
  CollectingLog notes(context.log);
  const auto trial = open_trial(options, folder, pool, notes.log());
  if (installed) contribution::require_fresh(*trial, files);
  Json result =
      contribution::judge_and_keep(pool, *trial, files, judging(options, files), notes).verdict;
  if (!installed) return result;
  result["probation"] = "continues";
  if (result["verdict"] != "admit") return result;
  contribution::end_probation(options.registry, trial->candidate().sha256(), pool.options().note,
                              context.log);
  result["probation"] = "over";
  return result;
}

}  // namespace moecollab::engine
