#include "pipeline/gate_standing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <exception>

#include "base/strings.h"

namespace moecollab::pipeline {
namespace {

std::string layers_of(const registry::InputTable& input) {
  return fmt::format("{} {}", fmt::join(input.layers, ", "), input.pooling);
}

}  // namespace

std::string difference(const registry::Manifest& before, const registry::Manifest& now) {
  const auto differs = [](const char* what, const std::string& a, const std::string& b) {
    return fmt::format("its {} was {} and is {}", what, escaped(a, 80), escaped(b, 80));
  };
  if (before.task.label_space != now.task.label_space)
    return differs("label space", before.task.label_space, now.task.label_space);
  if (before.task.labels != now.task.labels)
    return differs("labels", join(before.task.labels, ", "), join(now.task.labels, ", "));
  if (before.output.kind != now.output.kind)
    return differs("output", before.output.kind, now.output.kind);
  if (before.input.needs != now.input.needs)
    return differs("input", join(before.input.needs, ", "), join(now.input.needs, ", "));
  if (before.input.layers != now.input.layers || before.input.pooling != now.input.pooling)
    return differs("layers and pooling", layers_of(before.input), layers_of(now.input));
  if (before.input.encoder_fingerprint != now.input.encoder_fingerprint)
    return differs("encoder", before.input.encoder_fingerprint, now.input.encoder_fingerprint);
  return "";
}

GateStanding standing_of(const GateRow& row, const registry::Package& package) {
  using Kind = GateStanding::Kind;
  if (row.sha256 == package.manifest_sha256) return {Kind::kFitted, ""};
  const std::string both =
      fmt::format("the gate was fitted for {} {} ({}), installed is {} ({})", row.name,
                  escaped(row.version, 40), row.sha256.substr(0, 12),
                  package.manifest.expert.version.text(), package.manifest_sha256.substr(0, 12));
  try {
    const registry::Package before = registry::open_package(
        package.folder.parent_path() / registry::Version::parse(row.version).text());
    if (before.manifest_sha256 != row.sha256)
      return {Kind::kMismatch, both + "; the one before is not here to be compared"};
    const std::string other = difference(before.manifest, package.manifest);
    if (!other.empty()) return {Kind::kMismatch, both + "; " + other};
  } catch (const std::exception&) {  // also a version that is none
    return {Kind::kMismatch, both + "; the one before is not here to be compared"};
  }
  return {Kind::kOnProbation, both};
}

std::optional<double> probation_cap(const registry::RegistryFile& registry,
                                    const registry::Lock& lock, const std::string& sha256,
                                    bool fitted) {
  if (lock.admitted.contains(sha256)) return std::nullopt;
  if (fitted && lock.made_here.contains(sha256)) return std::nullopt;
  return registry.policy.probation_weight_cap;
}

std::string capped_text(const std::string& name, double cap) {
  return fmt::format(
      "it counts at most {} until `moecollab admit {}` passes it on texts that are "
      "new to it and the gate",
      cap, name);
}

}  // namespace moecollab::pipeline
