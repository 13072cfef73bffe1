// A collaboration as it would be with a higher version of one expert.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ablation/ablation.h"
#include "ablation/judge.h"
#include "ablation/refit.h"

namespace moecollab::ablation {

// The highest installed version of an expert's range, if it is not the one that is selected.
struct Upgrade {
  std::string name;
  registry::Version version;
  std::string sha256;  // of its package; "" if that cannot be read
};
// The code of an UpgradedPool that there cannot be.
inline constexpr char kNoUpgrade[] = "E_ABLATION_UPGRADE";

std::vector<Upgrade> upgrades_of(const pipeline::Pool& pool);

// Opens it beside the subject's pool; the registry is not changed.
class UpgradedPool {
 public:
  // Throws kNoUpgrade for a version that is refused, or that has no part under the subject's gate
  // since it cannot stand in for the one before.
  UpgradedPool(const Subject& subject, const Upgrade& upgrade, const RunContext& context);

  Judge& judge() { return *judge_; }
  // Under the subject's gate: the new version has the row of the one before, on probation.
  Way same();
  // Under one that is fitted for it.
  Way refitted(const training::GateTrainingOptions& settings, const RunContext& context);

 private:
  const Subject& subject_;
  std::unique_ptr<pipeline::Pool> pool_;
  pipeline::RoutedGate routed_;
  std::unique_ptr<Judge> judge_;
};

}  // namespace moecollab::ablation
