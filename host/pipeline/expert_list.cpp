#include "pipeline/expert_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "pipeline/gate_file.h"

namespace moecollab::pipeline {
namespace {

std::vector<registry::CandidateView> views(const Pool& pool) {
  std::vector<registry::CandidateView> list;
  for (const registry::Candidate& candidate : pool.candidates())
    list.push_back(registry::view_of(candidate));
  return list;
}

std::vector<std::string> routed_experts(const Pool& pool) {
  std::vector<std::string> names;
  try {
    for (const GateRow& row : read_gate(pool.options().registry, pool.context().log).rows)
      names.push_back(row.name);
  } catch (const Error&) {
    // No gate, or an unreadable one: then nobody is routed, and eval says why.
  }
  return names;
}

}  // namespace

std::vector<registry::CandidateView> list_experts(const Pool& pool) {
  std::vector<registry::CandidateView> list = views(pool);
  const std::vector<std::string> routed = routed_experts(pool);
  for (registry::CandidateView& view : list) {
    if (view.state != registry::State::kReady ||
        std::find(routed.begin(), routed.end(), view.name) != routed.end())
      continue;
    view.state = registry::State::kUnrouted;
    view.refusal = registry::Refusal{
        .code = {},
        .rule = "it has no row in the gate",
        .expected = {},
        .seen = {},
        .hint = fmt::format(
            "fit its row with `moecollab grow {}`, or all rows with `moecollab train-gate`",
            view.name)};
  }
  return list;
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
