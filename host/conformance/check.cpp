#include "conformance/check.h"

#include <algorithm>

namespace moecollab::conformance {

std::vector<Check> all_checks() {
  std::vector<Check> all;
  for (const auto& checks :
       {load_checks(), contract_checks(), creation_checks(), conduct_checks(), numeric_checks(),
        purity_checks(), extension_checks(), gradient_checks(), training_checks(),
        parameter_checks(), learning_checks(), thread_checks(), stress_checks()})
    all.insert(all.end(), checks.begin(), checks.end());
  std::ranges::stable_sort(all, {}, &Check::level);
  return all;
}

}  // namespace moecollab::conformance
