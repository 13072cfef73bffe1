#include "contribution/probation.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "registry/change.h"
#include "registry/lock.h"
#include "registry/registry_state.h"

namespace moecollab::contribution {
namespace {

// Whether a value of the free table is this digest.
bool names_digest(const Json& provenance, const std::string& sha256) {
  if (provenance.is_string()) return provenance.get<std::string>() == sha256;
  if (!provenance.is_structured()) return false;
  return std::any_of(provenance.begin(), provenance.end(),
                     [&](const Json& part) { return names_digest(part, sha256); });
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error("E_CONFIG", what,
              "probation ends on texts that neither the gate nor the expert has seen: give an "
              "evaluation split with --split dev or test");
}

}  // namespace

void require_fresh(const Trial& trial, const TrialFiles& files) {
  if (files.training) refuse("the gate is fitted on the held-out texts of training files");
  for (const data::Dataset& dataset : files.judged) {
    const std::string file = escaped(dataset.file.string());
    if (trial.gate_file) {
      for (const auto& [domain, sha256] : trial.gate_file->data)
        if (sha256 == dataset.sha256) refuse(fmt::format("the gate was fitted on {}", file));
    }
    if (names_digest(trial.candidate().package.manifest.provenance, dataset.sha256))
      refuse(fmt::format("expert {} was trained on {}", trial.candidate().name, file));
  }
}

void end_probation(const fs::path& registry, const std::string& package_sha256,
                   const registry::ChangeNote& note, Log log) {
  const FileLock held = registry::lock_registry(registry, log);
  registry::Change change(registry, held, log);
  registry::Lock lock = registry::read_lock(registry);
  lock.admitted.insert(package_sha256);
  change.put(registry::kLockFile, registry::lock_text(lock));
  change.commit(note);
}

}  // namespace moecollab::contribution
