#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/candidate_judgement.h"
#include "contribution/judgement.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "registry/registry_file.h"
#include "registry/trust.h"

namespace moecollab::engine {
namespace {

contribution::TrialFiles read_files(const data::DataOptions& options, Log log) {
  contribution::TrialFiles files;
  files.judged = read_datasets(options, "train", log);
  files.training = options.split.empty() || options.split == "train";
  if (files.training || options.dir.empty()) return files;
  data::DataOptions fitting;
  fitting.dir = options.dir;
  fitting.reading = options.reading;
  fitting.of_domains = options.of_domains;
  files.fitting = read_datasets(fitting, "train", log);
  return files;
}

void require_pool(pipeline::Pool& pool) {
  if (!pool.experts().empty()) return;
  throw Error(
      "E_REG_EMPTY",
      fmt::format("{}: 0 experts installed: there is no pool to judge against",
                  escaped(pool.options().registry.string())),
      fmt::format("the first expert of a pool skips admission: `moecollab experts add`; or {}",
                  registry::kHowToNameOne));
}

}  // namespace

Json run_admit(const AdmitOptions& options, const RunContext& context) {
  prepare(options);
  require_fp32(options, context.log);
  contribution::check(options.admission);
  const registry::PackageFolder folder(options.package);
  const registry::Package package = registry::open_package(folder.path());
  const contribution::TrialFiles files =
      read_files(with_registry(options.data, options.registry), context.log);
  pipeline::Pool pool(pool_options(options, context));
  require_pool(pool);
  CollectingLog notes(context.log);
  const auto trial = contribution::open_trial(pool, package, notes.log());
  const auto chosen = contribution::choose_judged(pool, *trial, files, options.seed);
  const fs::path path = contribution::verdict_file(options.registry, package);

  contribution::AdmissionRecord record = contribution::judge_candidate(
      pool, *trial, files, chosen, options.admission, options.seed, notes);
  record.split = files.training ? "train (held out)" : options.data.split;
  record.command = options.command;
  Json result = to_json(record);
  write_file_atomic(path, to_text(result));
  result["file"] = path.string();
  return result;
}

}  // namespace moecollab::engine
