// A registry of two experts, and what its operator does to it.
#pragma once

#include "registry/garbage.h"
#include "registry/layout.h"
#include "registry/operations.h"
#include "registry/registry_state.h"
#include "registry/resolution.h"
#include "registry/rollback.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {

inline constexpr const char* kRegistry = R"(schema = 1

# Clauses; ask Ann before you touch it.
[[expert]]
name = "legal"          # in the folder of that name
id = "com.example.legal"
version = "^1.0"

[expert.config]
k = 32

# Headlines.
[[expert]]
name = "news"
id = "com.example.news"
enabled = true          # since May

[gate]
top_k = 2
)";

struct OperationsTest : testing::Test {
  OperationsTest() {
    write(folder / "registry.toml", kRegistry);
    install("legal", "1.0.0");
    install("news", "1.0.0");
    write_lock_again(operation());
  }
  void install(const std::string& name, const std::string& version) {
    install_package(folder, name, version);
  }
  Operation operation(bool dry_run = false) const {
    return {folder, {"moecollab experts …", "because"}, dry_run, Log()};
  }
  std::string text() const { return read_file(folder / "registry.toml", "E_TEST"); }
  std::string selected(const std::string& name) const {
    for (const Candidate& candidate : resolve(folder, read_registry(folder), read_lock(folder)))
      if (candidate.name == name && candidate.package)
        return candidate.package->manifest.expert.version.text();
    return "none";
  }
  std::optional<Version> newer(const std::string& name) const {
    for (const Candidate& candidate : resolve(folder, read_registry(folder), read_lock(folder)))
      if (candidate.name == name) return candidate.newer;
    return std::nullopt;
  }
  // As an upgrade does.
  void select(const std::string& name, const std::string& version) {
    Lock lock = read_lock(folder);
    for (LockEntry& entry : lock.entries) {
      if (entry.name != name) continue;
      entry.version = Version::parse(version);
      entry.manifest_sha256.clear();
    }
    const FileLock held = lock_registry(folder, Log());
    Change change(folder, held, Log());
    change.put("registry.lock.toml", lock_text(resolved_lock(folder, read_registry(folder), lock)));
    change.commit({"moecollab experts upgrade", ""});
  }
  void set_gate(const std::string& toml) {
    const FileLock held = lock_registry(folder, Log());
    Change change(folder, held, Log());
    change.put("gate/gate.toml", toml);
    change.put("gate/gate.safetensors", "tensors of " + toml);
    change.commit({"moecollab train-gate", ""});
  }

  TemporaryFolder root;
  fs::path folder = root.path();
};

}  // namespace moecollab::registry
