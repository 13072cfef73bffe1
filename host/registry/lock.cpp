#include "registry/lock.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"
#include "base/toml.h"
#include "registry/names.h"
#include "registry/registry_state.h"

namespace moecollab::registry {
namespace {

constexpr size_t kMaxReason = 2000;  // bytes; a plugin may have written them

std::string optional_digest(Fields& table, const std::string& key) {
  auto digest = table.value_or<std::string>(key, "");
  if (!digest.empty()) check_digest(table, key, digest);
  return digest;
}

ProbeRecord read_probe(Fields table) {
  ProbeRecord probe{required_digest(table, "package"), required_digest(table, "encoder"),
                    table.required<std::string>("engine")};
  table.finish();
  return probe;
}

LockEntry read_entry(Fields table) {
  LockEntry entry;
  entry.name = required_name(table, "name");
  entry.id = required_id(table, "id");
  entry.version = required_version(table, "version");
  entry.manifest_sha256 = required_digest(table, "manifest_sha256");
  entry.library_sha256 = optional_digest(table, "library_sha256");
  const auto word = table.required<std::string>("state");
  const auto state = parse_state(word);
  if (!state) table.fail("state", fmt::format("\"{}\" is no state", escaped(word, 40)));
  entry.state = *state;
  entry.code = table.value_or<std::string>("code", "");
  entry.reason = table.value_or<std::string>("reason", "");
  if (auto probe = table.table("probe")) entry.probe = read_probe(*std::move(probe));
  table.finish();
  return entry;
}

Json entry_json(const LockEntry& entry) {
  Json table = {{"name", entry.name},
                {"id", entry.id},
                {"version", entry.version.text()},
                {"manifest_sha256", entry.manifest_sha256}};
  if (!entry.library_sha256.empty()) table["library_sha256"] = entry.library_sha256;
  table["state"] = std::string(state_name(entry.state));
  if (!entry.code.empty()) table["code"] = entry.code;
  if (!entry.reason.empty()) table["reason"] = escaped(entry.reason, kMaxReason);
  if (entry.probe != ProbeRecord{}) {
    table["probe"] = {{"package", entry.probe.package},
                      {"encoder", entry.probe.encoder},
                      {"engine", entry.probe.engine}};
  }
  return table;
}

std::set<std::string> read_digests(Fields& root, const std::string& key) {
  std::set<std::string> digests;
  for (const std::string& sha256 : root.value_or(key, std::vector<std::string>())) {
    if (!is_digest(sha256)) root.fail(key, "must hold SHA-256 digests");
    digests.insert(sha256);
  }
  return digests;
}

Quarantined read_quarantined(Fields table) {
  Quarantined entry{required_digest(table, "sha256"),     required_name(table, "name"),
                    table.required<std::string>("code"),  table.required<std::string>("phase"),
                    table.required<std::string>("cause"), table.value_or<std::string>("output", ""),
                    table.required<std::string>("time"),  table.required<std::string>("program")};
  table.finish();
  return entry;
}

Json quarantined_json(const Quarantined& entry) {
  Json table = {{"sha256", entry.sha256},
                {"name", entry.name},
                {"code", entry.code},
                {"phase", entry.phase},
                {"cause", escaped(entry.cause, kMaxReason)},
                {"time", entry.time},
                {"program", entry.program}};
  if (!entry.output.empty()) table["output"] = escaped(entry.output, kMaxReason);
  return table;
}

}  // namespace

Lock Lock::emptied() const {
  Lock lock = *this;
  lock.entries.clear();
  return lock;
}

const LockEntry* Lock::find(const std::string& name) const {
  const auto it = std::find_if(entries.begin(), entries.end(),
                               [&](const LockEntry& entry) { return entry.name == name; });
  return it == entries.end() ? nullptr : &*it;
}

Lock parse_lock(const std::optional<std::string>& text, const std::string& file) {
  if (!text) return {};
  const TomlDocument document = parse_toml(*text, file, "E_REG", kMaxLock);
  Fields root(document.root, {file, kSchemaCode, &document.lines});
  check_schema(root);
  Lock lock;
  std::set<std::string> names;
  for (const Fields& table : root.tables("expert")) {
    lock.entries.push_back(read_entry(table));
    if (!names.insert(lock.entries.back().name).second) table.fail("name", "stands twice");
  }
  lock.made_here = read_digests(root, "made_here");
  lock.own_libraries = read_digests(root, "own_libraries");
  lock.admitted = read_digests(root, "admitted");
  for (const Fields& table : root.tables("quarantined"))
    lock.quarantined.push_back(read_quarantined(table));
  root.finish();
  return lock;
}

Lock read_lock(const fs::path& folder) {
  return parse_lock(read_state_file(folder, kLockFile), shown(folder / kLockFile));
}

std::string lock_text(const Lock& lock) {
  std::vector<LockEntry> sorted = lock.entries;
  std::sort(sorted.begin(), sorted.end(),
            [](const LockEntry& a, const LockEntry& b) { return a.name < b.name; });
  Json root = {{"schema", 1}};
  if (!lock.made_here.empty()) root["made_here"] = lock.made_here;
  if (!lock.own_libraries.empty()) root["own_libraries"] = lock.own_libraries;
  if (!lock.admitted.empty()) root["admitted"] = lock.admitted;
  for (const LockEntry& entry : sorted) root["expert"].push_back(entry_json(entry));
  for (const Quarantined& entry : lock.quarantined)
    root["quarantined"].push_back(quarantined_json(entry));
  return "# Written by moecollab; do not edit.\n" + to_toml(root);
}

void write_lock(const fs::path& folder, const Lock& lock) {
  write_file_atomic(folder / kLockFile, lock_text(lock));
}

}  // namespace moecollab::registry
