#include "ablation/impact.h"

#include <algorithm>

namespace moecollab::ablation {
namespace {

const Json* find_refitted(const Json& steps, const Json& same) {
  const auto found = std::ranges::find_if(steps, [&](const Json& step) {
    return step["group"] == same["group"] && step["name"] == same["name"] &&
           step["gate"] == kRefitted && !step["change"].is_null();
  });
  return found == steps.end() ? nullptr : &*found;
}

}  // namespace

Json impact_of(const Json& steps) {
  Json impact = Json::array();
  for (const Json& step : steps) {
    const bool upgrade = step["group"] == "upgrades";
    if ((!upgrade && step["group"] != "experts") || step["gate"] != kSame ||
        step["change"].is_null())
      continue;
    const double change = step["change"]["overall"]["change"].get<double>();
    Json entry = {
        {"expert", step["name"]},     {"upgrade", upgrade ? step["version"] : Json(nullptr)},
        {"by", step["change"]["by"]}, {"change", change},
        {"change_refitted", nullptr}, {"through_gate", nullptr}};
    if (const Json* refitted = find_refitted(steps, step)) {
      const double after = (*refitted)["change"]["overall"]["change"].get<double>();
      entry["change_refitted"] = after;
      entry["through_gate"] = after - change;
    }
    impact.push_back(std::move(entry));
  }
  return impact;
}

}  // namespace moecollab::ablation
