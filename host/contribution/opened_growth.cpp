#include "contribution/opened_growth.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_standing.h"

namespace moecollab::contribution {
namespace {

using pipeline::InstalledExpert;

InstalledExpert& find_newcomer(pipeline::Pool& pool, const pipeline::GateFile& gate,
                               const std::string& name) {
  std::vector<std::string> names;
  InstalledExpert* found = nullptr;
  for (InstalledExpert& expert : pool.experts()) {
    names.push_back(expert.name);
    if (expert.name == name) found = &expert;
  }
  if (found == nullptr) {
    throw Error("E_CONFIG",
                fmt::format("there is no expert {} that is ready{}", escaped(name, 80),
                            did_you_mean(name, names)),
                "`moecollab experts list` shows every one; `experts add` installs another");
  }
  for (const pipeline::GateRow& row : gate.rows) {
    if (row.name != name) continue;
    const pipeline::GateStanding standing = pipeline::standing_of(row, found->package);
    throw Error("E_CONFIG",
                fmt::format("expert {} has a row in the gate already{}{}", name,
                            standing.reason.empty() ? "" : ": ", standing.reason),
                "`moecollab train-gate` fits all rows again");
  }
  return *found;
}

// In two factors new experts are of one label space, whose shares are fitted together: with those
// of its experts that have a row, all of which must be there.
void require_whole_space(const OpenedGrowth& growth, const std::vector<std::string>& dropped) {
  if (!growth.stored.file.gate.is_factored()) return;
  const std::vector<fusion::ExpertLabels>& experts = growth.setting.experts;
  const std::string& space =
      growth.setting.labels.spaces()[static_cast<size_t>(experts.back().space)].name;
  for (const InstalledExpert* expert : growth.newcomers) {
    if (expert->labels.space == experts.back().space) continue;
    throw Error("E_CONFIG",
                fmt::format("expert {} does not answer in label space {}, expert {} does",
                            expert->name, space, growth.newcomers.back()->name),
                "grow by the experts of one label space at a time");
  }
  for (const pipeline::GateRow& row : growth.stored.file.rows) {
    if (row.space != space || std::ranges::find(dropped, row.name) == dropped.end()) continue;
    throw Error(
        "E_GATE",
        fmt::format("expert {} of label space {} has a row in the gate but takes no part, and "
                    "the space's shares cannot be fitted without it",
                    escaped(row.name), space),
        "`moecollab experts why` says how it comes back; or fit the gate again with `moecollab "
        "train-gate`");
  }
}

}  // namespace

OpenedGrowth open_growth(pipeline::Pool& pool, StoredGate stored,
                         std::span<const std::string> newcomers) {
  OpenedGrowth growth;
  growth.stored = std::move(stored);
  training::require_growable(growth.stored.file.gate);
  for (const std::string& name : newcomers)
    growth.newcomers.push_back(&find_newcomer(pool, growth.stored.file, name));
  pipeline::RoutedGate routed = pipeline::open_gate(growth.stored.file, pool, newcomers);
  growth.experts = std::move(routed.experts);
  growth.setting = {std::move(routed.gate), std::move(routed.labels), pool.labels()};
  growth.domain = growth.newcomers.front()->domain();
  for (InstalledExpert* expert : growth.newcomers) {
    if (expert->domain() != growth.domain) {
      throw Error("E_CONFIG",
                  fmt::format("expert {} is of domain {}, {} of {}", growth.newcomers.front()->name,
                              growth.domain, expert->name, expert->domain()),
                  "grow by the experts of one domain at a time");
    }
    growth.experts.push_back(expert);
    growth.setting.experts.push_back(expert->labels);
  }
  std::vector<std::string> names;
  for (const InstalledExpert* expert : growth.experts) names.push_back(expert->name);
  growth.setting.caps = pipeline::weight_caps(pool.registry(), names, routed.unfitted);
  require_whole_space(growth, routed.dropped);
  return growth;
}

}  // namespace moecollab::contribution
