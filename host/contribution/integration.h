// The steps from a package to an expert that takes part.
#pragma once

#include <optional>
#include <string>

#include "contribution/candidate_judgement.h"
#include "contribution/install.h"
#include "contribution/install_options.h"
#include "contribution/integration_steps.h"
#include "contribution/trial_texts.h"
#include "registry/trust.h"

namespace moecollab::contribution {

// A package on its way into a registry. Each step throws what refuses the package, and is kept
// (integration_steps.h) unless it is a dry run.
class Integration {
 public:
  // Opens the package, and a registry only if the package is named by an expert of it. Throws as
  // registry::newest_of_range(), PackageFolder and open_package(), and E_DESC_LABELS for a kind.
  Integration(pipeline::PoolOptions open, InstallOptions install);

  const std::string& name() const { return name_; }
  // Trust, scan, compatibility, conformance, admission: as the registry's policy says. `files`:
  // what it is judged on; none: no data is given. Throws E_POLICY_ADMISSION for a package that
  // would do harm, or that would have to be judged and there is no data; E_REQUIRE_ADMISSION if
  // that is undecided.
  void check(const ConformanceCheck& conformance, const JudgeOptions& judging,
             const std::optional<TrialFiles>& files);
  // Gate and lock, as one change; `gate` is left out if it is empty. What it returns is kept.
  using GateWork = std::function<Json(pipeline::Pool& pool, registry::Change& change)>;
  void take_over(const GateWork& gate);
  // "name", "version", "sha256", "publisher", "probe", "conformance", "admission", "gate",
  // "dry_run", "change".
  const Json& result() const { return result_; }

 private:
  void open_registry();
  Json check_trust() const;
  void warn_of_lost_signature(const registry::LockEntry& before) const;
  Json scan() const;
  Json check_compatibility() const;
  void judge_conformance(const ConformanceCheck& conformance);
  void judge_admission(const JudgeOptions& judging, const std::optional<TrialFiles>& files);
  // Why the gate has nothing to do with the package, in the registry as it will be; null: it has.
  const char* reason_to_leave_gate(pipeline::Pool& pool) const;
  // Why a package is not judged that is here already; null: it is judged.
  const char* reason_to_skip() const;

  pipeline::PoolOptions open_;
  InstallOptions install_;
  fs::path path_;  // a folder, or FILE.moec
  registry::PackageFolder folder_;
  registry::Package package_;
  std::string name_;  // what it is called in the registry
  registry::RegistryFile registry_;
  bool made_here_ = false;  // trained in this registry
  bool selected_ = false;   // what its lock selects already
  IntegrationSteps steps_;
  Json result_;
};

}  // namespace moecollab::contribution
