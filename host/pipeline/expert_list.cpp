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

// The rows of a gate, or why they cannot be read.
struct GateRows {
  std::vector<GateRow> rows;
  std::optional<registry::Refusal> failure;  // of a gate that is there
};

// Without a gate nobody is routed, and with an unreadable one nobody can be said to be.
template <typename Source>
GateRows rows_of(const Source& source, bool is_there) {
  try {
    return {read_gate(source).rows, std::nullopt};
  } catch (const Error& error) {
    if (!is_there) return {};
    return {{}, registry::refusal_of(error)};
  }
}

registry::Refusal reason_of(std::string rule, std::string hint) {
  return {.code = {}, .rule = std::move(rule), .expected = {}, .seen = {}, .hint = std::move(hint)};
}

void show_standing(const registry::RegistryFile& registry, const registry::Lock& lock,
                   const GateRows& gate, registry::CandidateView& view) {
  const std::vector<GateRow>& rows = gate.rows;
  if (gate.failure) {
    view.state = registry::State::kUnrouted;
    view.refusal = gate.failure;
    return;
  }
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
    view.refusal = view.edit;
    if (!cap) return;
    view.state = registry::State::kOnProbation;
    view.refusal =
        reason_of(capped, fmt::format("`moecollab admit {} --data-dir … --split dev`", view.name));
    return;
  }
  if (view.edit) {
    view.state = registry::State::kMismatched;
    view.refusal = view.edit;
    return;
  }
  const bool probation = standing.kind == GateStanding::Kind::kOnProbation;
  view.state = probation ? registry::State::kOnProbation : registry::State::kMismatched;
  view.refusal = reason_of(
      standing.reason +
          (probation ? "; it has that one's row until its own is fitted"
                     : "; it takes no part until its row is fitted again") +
          (probation && cap ? "; " + capped : ""),
      fmt::format("fit its row again with `moecollab grow {}`, or all rows with `moecollab "
                  "train-gate`{}",
                  view.name, cap ? ", then admit it" : ""));
}

}  // namespace

std::vector<registry::CandidateView> list_experts(const Pool& pool) {
  std::vector<registry::CandidateView> list = views(pool);
  const GateRows rows = rows_of(pool, pool.state().gate.has_value());
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
    show_standing(file, lock, rows_of(registry, fs::exists(registry::gate_file(registry))), view);
  }
  return view;
}

std::vector<registry::CandidateView> verified_experts(Pool& pool) {
  std::vector<registry::CandidateView> list = views(pool);
  for (registry::CandidateView& view : list) {
    view.probed = std::any_of(
        pool.experts().begin(), pool.experts().end(),
        [&](const InstalledExpert& expert) { return expert.name == view.name && expert.probed; });
    if (!view.edit || view.state != registry::State::kReady) continue;
    view.state = registry::State::kMismatched;
    view.refusal = view.edit;
  }
  return list;
}

}  // namespace moecollab::pipeline
