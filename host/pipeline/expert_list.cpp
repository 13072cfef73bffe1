#include "pipeline/expert_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/error.h"
#include "pipeline/gate_standing.h"

namespace moecollab::pipeline {
namespace {

std::vector<registry::CandidateView> views(const Pool& pool) {
  std::vector<registry::CandidateView> list;
  for (const registry::Candidate& candidate : pool.candidates())
    list.push_back(registry::view_of(candidate));
  return list;
}

// Without a gate, or with an unreadable one, nobody is routed, and eval says why.
template <typename Source>
std::vector<GateRow> rows_of(const Source& source) {
  try {
    return read_gate(source).rows;
  } catch (const Error&) {
    return {};
  }
}

registry::Refusal reason_of(std::string rule, std::string hint) {
  return {.code = {}, .rule = std::move(rule), .expected = {}, .seen = {}, .hint = std::move(hint)};
}

void show_standing(const registry::RegistryFile& registry, const registry::Lock& lock,
                   const std::vector<GateRow>& rows, registry::CandidateView& view) {
  const auto row = std::ranges::find(rows, view.name, &GateRow::name);
  if (row == rows.end()) {
    view.state = registry::State::kUnrouted;
    view.refusal = reason_of(
        "it has no row in the gate",
        rows.empty() ? "fit a gate with `moecollab train-gate`"
                     : fmt::format("fit its row with `moecollab grow {}`, or all rows with "
                                   "`moecollab train-gate`",
                                   view.name));
    return;
  }
  const GateStanding standing = standing_of(*row, *view.package);
  const bool fitted = standing.kind == GateStanding::Kind::kFitted;
  const auto cap = probation_cap(registry, lock, view.package->manifest_sha256, fitted);
  const std::string capped = cap ? capped_text(view.name, *cap) : "";
  if (fitted) {
    if (!cap) return;
    view.state = registry::State::kOnProbation;
    view.refusal =
        reason_of(capped, fmt::format("`moecollab admit {} --data-dir … --split dev`", view.name));
    return;
  }
  const bool probation = standing.kind == GateStanding::Kind::kOnProbation;
  view.state = probation ? registry::State::kOnProbation : registry::State::kMismatched;
  view.refusal = reason_of(
      standing.reason +
          (probation ? "; it has that one's row until then" : "; it takes no part until then") +
          (probation && cap ? "; " + capped : ""),
      fmt::format("fit its row again with `moecollab grow {}`, or all rows with `moecollab "
                  "train-gate`",
                  view.name));
}

}  // namespace

std::vector<registry::CandidateView> list_experts(const Pool& pool) {
  std::vector<registry::CandidateView> list = views(pool);
  const std::vector<GateRow> rows = rows_of(pool);
  for (registry::CandidateView& view : list)
    if (view.state == registry::State::kReady)
      show_standing(pool.registry(), pool.lock(), rows, view);
  return list;
}

registry::CandidateView view_of_one(const fs::path& registry, const std::string& name) {
  const registry::RegistryFile file = registry::read_registry(registry);
  const registry::Lock lock = registry::read_lock(registry);
  const std::vector<registry::Candidate> candidates = registry::resolve(registry, file, lock);
  const auto found = std::ranges::find(candidates, name, &registry::Candidate::name);
  if (found == candidates.end())
    throw std::logic_error("view_of_one: an expert that is not in the registry");
  registry::CandidateView view = registry::view_of(*found);
  if (view.state == registry::State::kManifestOk) {
    view.state = registry::State::kReady;
    show_standing(file, lock, rows_of(registry), view);
  }
  return view;
}

std::vector<registry::CandidateView> verified_experts(Pool& pool) {
  std::vector<registry::CandidateView> list = views(pool);
  for (registry::CandidateView& view : list) {
    view.probed = std::any_of(
        pool.experts().begin(), pool.experts().end(),
        [&](const InstalledExpert& expert) { return expert.name == view.name && expert.probed; });
  }
  return list;
}

}  // namespace moecollab::pipeline
