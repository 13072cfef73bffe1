#include "registry/rollback_warnings.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "registry/registry_file.h"

namespace moecollab::registry {
namespace {

std::vector<std::string> changed_tables(const RegistryFile& a, const RegistryFile& b) {
  const std::pair<const char*, bool> tables[] = {
      {"[encoder]", a.encoder == b.encoder}, {"[domains]", a.domains == b.domains},
      {"[data]", a.data == b.data},          {"[[label_space]]", a.label_spaces == b.label_spaces},
      {"[policy]", a.policy == b.policy},    {"[gate]", a.gate == b.gate},
      {"[[trust]]", a.trust == b.trust},     {"[revoked]", a.revoked == b.revoked}};
  std::vector<std::string> changed;
  for (const auto& [table, equal] : tables)
    if (!equal) changed.push_back(table);
  return changed;
}

// How many of `before` are not in `after`.
size_t count_gone(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  return static_cast<size_t>(std::ranges::count_if(before, [&](const std::string& each) {
    return std::ranges::find(after, each) == after.end();
  }));
}

}  // namespace

void warn_of_edits(const HistoryEntry& newest, const StateDigests& present, Log log) {
  for (const std::string& file : changed_files(newest.after, present)) {
    log.warning(
        fmt::format("{} was edited by hand since change {}", file, newest.number),
        "the history keeps it as it was before this rollback, which can be rolled back too");
  }
}

void warn_of_freed(const Lock& present, const Lock& after, Log log) {
  for (const Quarantined& entry : present.quarantined) {
    if (std::ranges::find(after.quarantined, entry.sha256, &Quarantined::sha256) !=
        after.quarantined.end())
      continue;
    log.warning(
        fmt::format("expert {} was quarantined since, and may run again: its process {} "
                    "in {}()",
                    entry.name, escaped(entry.cause, 200), escaped(entry.phase, 40)));
  }
}

void warn_of_settings(const fs::path& registry, const std::string& after, Log log) {
  try {
    const RegistryFile now = read_registry(registry);
    const RegistryFile then = parse_registry(after, kRegistryFile);
    if (const auto tables = changed_tables(now, then); !tables.empty()) {
      log.warning(fmt::format("registry.toml is as it was then, hand-written lines included: {} "
                              "say something else",
                              join(tables, ", ")),
                  "`moecollab experts rollback` takes this back; then edit what was meant");
    }
    const size_t keys = count_gone(now.revoked.keys, then.revoked.keys);
    const size_t packages = count_gone(now.revoked.packages, then.revoked.packages);
    if (keys + packages > 0) {
      log.warning(
          fmt::format("what was revoked since counts again: {} keys, {} packages", keys, packages),
          "write it into [revoked] of registry.toml again");
    }
  } catch (const Error&) {
  }
}

}  // namespace moecollab::registry
