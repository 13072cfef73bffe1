#include "registry/label_spaces.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/strings.h"

namespace moecollab::registry {
namespace {

// The labels that a name stands for, and who says so.
struct Definition {
  std::string owner;
  const std::vector<std::string>* labels;
};

bool takes_part(const Candidate& candidate) {
  return candidate.package && !candidate.refusal && candidate.entry &&
         candidate.state != State::kDisabled;
}

std::string quoted(const std::string& label) { return fmt::format("\"{}\"", escaped(label, 80)); }

// What of `labels` disagrees with the definition, or "" if nothing does.
std::string first_difference(const TaskTable& task, const Definition& definition) {
  const std::set<std::string> known(definition.labels->begin(), definition.labels->end());
  for (const std::string& label : task.labels) {
    if (!known.contains(label)) {
      return fmt::format("label {} is not among those of {}", quoted(label), definition.owner);
    }
  }
  if (task.partial) return {};
  const std::set<std::string> own(task.labels.begin(), task.labels.end());
  for (const std::string& label : *definition.labels) {
    if (!own.contains(label)) {
      return fmt::format("label {} of {} is missing, and the labels are not partial", quoted(label),
                         definition.owner);
    }
  }
  return {};
}

Refusal disagreement(const Candidate& candidate, const Definition& definition,
                     const std::string& difference) {
  const TaskTable& task = candidate.package->manifest.task;
  return {"E_DESC_LABELS",
          fmt::format("{}: label space {}: {}", candidate.name, task.label_space, difference),
          fmt::format("{} labels", definition.labels->size()),
          fmt::format("{} labels", task.labels.size()),
          "labels that differ need another name or version of the space; a subset needs "
          "partial = true"};
}

}  // namespace

void check_label_spaces(const std::vector<LabelSpace>& declared,
                        std::vector<Candidate>& candidates) {
  std::map<std::string, Definition> definitions;
  for (const LabelSpace& space : declared) {
    definitions.emplace(space.name, Definition{"registry.toml", &space.labels});
  }
  for (const bool edited : {false, true}) {  // what was edited defines nothing for the others
    for (const Candidate& candidate : candidates) {
      if (!takes_part(candidate) || candidate.edit.has_value() != edited) continue;
      const TaskTable& task = candidate.package->manifest.task;
      if (!task.partial)
        definitions.emplace(task.label_space, Definition{"expert " + candidate.name, &task.labels});
    }
  }
  for (Candidate& candidate : candidates) {
    if (!takes_part(candidate)) continue;
    const TaskTable& task = candidate.package->manifest.task;
    const auto definition = definitions.find(task.label_space);
    if (definition == definitions.end()) continue;
    const std::string difference = first_difference(task, definition->second);
    if (!difference.empty())
      refuse(candidate, disagreement(candidate, definition->second, difference));
  }
}

}  // namespace moecollab::registry
