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
    if (row.name != name || row.sha256 != found->sha256()) continue;
    throw Error("E_CONFIG", fmt::format("expert {} has a row in the gate already", name),
                "`moecollab train-gate` fits all rows again");
  }
  return *found;
}

// A domain whose last expert went is a new one again.
void forget_domain(const std::string& domain, pipeline::Pool& pool, pipeline::GateFile& file) {
  for (const pipeline::GateRow& row : file.rows) {
    const auto expert = std::ranges::find(pool.experts(), row.name, &InstalledExpert::name);
    if (expert == pool.experts().end() || expert->domain() == domain) return;
  }
  file.data.erase(domain);
}

// The row of a newcomer that replaced the expert it was fitted for goes, and the others share its
// weight: then the newcomer gets one as any other does.
void drop_replaced(pipeline::Pool& pool, std::span<const std::string> newcomers,
                   pipeline::GateFile& file) {
  for (const std::string& name : newcomers) {
    const auto row = std::ranges::find(file.rows, name, &pipeline::GateRow::name);
    if (row == file.rows.end()) continue;
    pool.context().log.note(
        fmt::format("expert {} gets a new row: the one that it has was fitted for {} {}", name,
                    row->name, escaped(row->version, 40)));
    pipeline::remove_row(file, static_cast<size_t>(row - file.rows.begin()));
    const auto expert = std::ranges::find(pool.experts(), name, &InstalledExpert::name);
    forget_domain(expert->domain(), pool, file);
  }
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
  drop_replaced(pool, newcomers, growth.stored.file);
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
  growth.setting.caps = pipeline::weight_caps(pool, growth.experts, routed.unfitted);
  require_whole_space(growth, routed.dropped);
  return growth;
}

}  // namespace moecollab::contribution
