// Where everything of a registry lies.
#pragma once

#include <string>

#include "base/files.h"

namespace moecollab::registry {

inline constexpr const char* kRegistryFile = "registry.toml";
inline constexpr const char* kLockFile = "registry.lock.toml";
inline constexpr const char* kExpertsFolder = "experts";
inline constexpr const char* kHistoryFolder = "history";
inline constexpr const char* kGateFolder = "gate";
inline constexpr const char* kGateText = "gate/gate.toml";
inline constexpr const char* kGateTensors = "gate/gate.safetensors";
inline constexpr const char* kHeldOutFolder = "heldout";
inline constexpr const char* kCheckpointsFolder = "checkpoints";
inline constexpr const char* kBaselinesFolder = "baselines";
inline constexpr const char* kPrecisionFolder = "precision";

// Held by who changes the folder.
inline fs::path change_lock(const fs::path& registry) { return registry / ".lock"; }

// The fitted gate, its tensors, an epoch per line of its fit, and the rows kept for growth.
inline fs::path gate_folder(const fs::path& registry) { return registry / kGateFolder; }
inline fs::path gate_file(const fs::path& registry) { return gate_folder(registry) / "gate.toml"; }
inline fs::path gate_tensors(const fs::path& registry) {
  return gate_folder(registry) / "gate.safetensors";
}
inline fs::path gate_history(const fs::path& registry) {
  return gate_folder(registry) / "history.jsonl";
}
inline fs::path replay_file(const fs::path& registry) {
  return gate_folder(registry) / "replay.safetensors";
}

// A package's logits on the texts that it did not train on.
inline fs::path held_out_file(const fs::path& registry, const std::string& package_sha256) {
  return registry / kHeldOutFolder / (package_sha256 + ".safetensors");
}
// The verdict over a candidate.
inline fs::path admission_file(const fs::path& registry, const std::string& package_sha256) {
  return registry / "admission" / (package_sha256 + ".json");
}
// What each step said when a package was added.
inline fs::path integration_file(const fs::path& registry, const std::string& package_sha256) {
  return registry / "integration" / (package_sha256 + ".json");
}
// What computing in a precision does to the answers, on a class of CPUs.
inline fs::path precision_file(const fs::path& registry, const std::string& precision,
                               const std::string& cpu_class) {
  return registry / kPrecisionFolder / (precision + "-" + cpu_class + ".json");
}
// An epoch per line of an expert's training.
inline fs::path expert_history(const fs::path& registry, const std::string& name) {
  return registry / kHistoryFolder / (name + ".jsonl");
}
// An unfinished training.
inline fs::path checkpoint_folder(const fs::path& registry, const std::string& name) {
  return registry / kCheckpointsFolder / name;
}
// An unfinished `train`; no expert can have its name.
inline fs::path rounds_folder(const fs::path& registry) {
  return registry / kCheckpointsFolder / "train.rounds";
}
// The models that a collaboration is compared with.
inline fs::path head_baseline(const fs::path& registry) {
  return registry / kBaselinesFolder / "head.toml";
}
inline fs::path deep_baseline(const fs::path& registry) {
  return registry / kBaselinesFolder / "deep";
}
inline fs::path ablation_folder(const fs::path& registry) { return registry / "ablation"; }
inline fs::path scale_folder(const fs::path& registry) { return registry / "scale"; }
inline fs::path sweep_folder(const fs::path& registry) { return registry / "sweep"; }

}  // namespace moecollab::registry
