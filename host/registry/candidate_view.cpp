#include "registry/candidate_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace moecollab::registry {

namespace {

// Why an expert takes no part that breaks no rule, and the way on.
std::optional<Refusal> reason_of(const Candidate& candidate) {
  if (candidate.state == State::kDisabled) {
    return Refusal{.code = {},
                   .rule = "registry.toml has enabled = false for it",
                   .expected = {},
                   .seen = {},
                   .hint = fmt::format("`moecollab experts enable {}`", candidate.name)};
  }
  if (candidate.state == State::kFound && candidate.package) {
    return Refusal{.code = {},
                   .rule = "it lies in experts/, and registry.toml has no entry for it",
                   .expected = {},
                   .seen = {},
                   .hint = fmt::format("`moecollab experts add {}` lets it take part",
                                       shown(candidate.package->folder))};
  }
  return std::nullopt;
}

// What lies in experts/ was whole when it was installed.
void add_repair(Refusal& refusal) {
  constexpr std::array kOfFiles{"E_PLUG_PATH",  "E_PLUG_DIGEST", "E_REG_SYNTAX",
                                "E_REG_SCHEMA", "E_REG_BYTES",   "E_REG_IO"};
  if (std::ranges::find(kOfFiles, refusal.code) == kOfFiles.end() ||
      refusal.hint.find("`moecollab experts add`") != std::string::npos)
    return;
  refusal.hint += (refusal.hint.empty() ? "" : "; ") +
                  std::string("`moecollab experts add` of a good copy puts its files right");
}

}  // namespace

CandidateView view_of(const Candidate& candidate) {
  CandidateView view{candidate.name,
                     candidate.state,
                     candidate.refusal ? candidate.refusal : reason_of(candidate),
                     candidate.package,
                     candidate.entry.has_value(),
                     candidate.entry && candidate.entry->pin,
                     candidate.newer,
                     candidate.edit,
                     std::nullopt};
  if (view.refusal && view.refusal->hint.empty() && view.package) {
    view.refusal->hint = fmt::format("`moecollab validate {}` shows what is wrong with it",
                                     view.package->folder.string());
  }
  if (view.refusal && view.entry) add_repair(*view.refusal);
  return view;
}

Json CandidateView::to_json() const {
  Json json = {{"name", name},           {"state", state_name(state)},
               {"code", nullptr},        {"reason", nullptr},
               {"hint", nullptr},        {"version", nullptr},
               {"id", nullptr},          {"domain", nullptr},
               {"label_space", nullptr}, {"sha256", nullptr},
               {"entry", entry},         {"pinned", pinned},
               {"newer", nullptr}};
  if (newer) json["newer"] = newer->text();
  if (refusal) {
    json["reason"] = refusal->rule;
    json["hint"] = refusal->hint;
    if (!refusal->code.empty()) {
      json["code"] = refusal->code;
      json["expected"] = refusal->expected;
      json["seen"] = refusal->seen;
    }
  }
  if (package) {
    const Manifest& manifest = package->manifest;
    json["version"] = manifest.expert.version.text();
    json["id"] = manifest.expert.id;
    json["domain"] = manifest.task.domain;
    json["label_space"] = manifest.task.label_space;
    json["labels"] = manifest.task.labels;
    json["sha256"] = package->manifest_sha256;
  }
  if (probed) json["probe"] = *probed ? "passed" : "none";
  return json;
}

}  // namespace moecollab::registry
