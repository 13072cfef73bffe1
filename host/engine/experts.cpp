#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/expert_list.h"
#include "pipeline/probe.h"
#include "registry/change.h"

namespace moecollab::engine {
namespace {

pipeline::PoolOptions tolerant_options(const CommonOptions& options, const RunContext& context) {
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/false);
  open.tolerate_refused = true;
  return open;
}

// The registry's lock for a verb that can also do without writing; nothing is locked, and a warning
// says why, if this user cannot write there.
std::optional<FileLock> lock_if_writable(const fs::path& registry, Log log) {
  registry::registry_text(registry);
  try {
    require_writable(registry / registry::kLockFile);
    return registry::lock_registry(registry, log);
  } catch (const Error& error) {
    if (error.code() != "E_WRITE") throw;
    log.warning(fmt::format("{} is not written: {}", registry::kLockFile, error.what()),
                "the checks below are those of now");
    return std::nullopt;
  }
}

[[noreturn]] void refuse_name(const std::string& name, const pipeline::Pool& pool) {
  std::vector<std::string> names;
  for (const registry::Candidate& candidate : pool.candidates()) names.push_back(candidate.name);
  throw Error(
      "E_CONFIG",
      fmt::format("there is no expert \"{}\"{}", escaped(name, 80), did_you_mean(name, names)),
      "`moecollab experts list` shows every one");
}

}  // namespace

Json run_experts_list(const CommonOptions& options, const RunContext& context) {
  prepare(options);
  const pipeline::Pool pool(tolerant_options(options, context));
  Json experts = Json::array();
  for (const registry::CandidateView& expert : pipeline::list_experts(pool))
    experts.push_back(expert.to_json());
  return {{"registry", options.registry.string()}, {"experts", experts}};
}

Json run_experts_verify(const CommonOptions& options, const RunContext& context,
                        const std::string& name) {
  prepare(options);
  const std::optional<FileLock> lock = lock_if_writable(options.registry, context.log);
  pipeline::PoolOptions open = tolerant_options(options, context);
  open.run_probes = true;
  open.note.passive = true;
  std::optional<registry::Change> change;
  if (lock) change.emplace(options.registry, *lock, context.log);
  pipeline::Pool pool(open);
  if (change) {
    change->put(registry::kLockFile, registry::lock_text(contribution::lock_of(pool)));
    change->commit(open.note);
  }
  Json verified = Json::array();
  for (const registry::CandidateView& expert : pipeline::verified_experts(pool)) {
    if (name.empty() || expert.name == name) verified.push_back(expert.to_json());
  }
  if (!name.empty() && verified.empty()) refuse_name(name, pool);
  return {{"registry", options.registry.string()},
          {"lock_written", lock.has_value()},
          {"experts", verified}};
}

}  // namespace moecollab::engine
