// A whole registry as one file, and back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"

namespace moecollab::registry {

// In the archive and, after its digests are checked, in no registry: version, encoder's
// fingerprint, and the SHA-256 of every file.
inline constexpr const char* kExportFile = "export.json";

struct Transfer {
  std::vector<std::string> packages;  // "news 1.0.0"
  size_t files = 0;
  uint64_t bytes = 0;       // of the archive
  std::string fingerprint;  // of the encoder, which is not in the archive; may be empty
};

// Writes what another machine needs to give the same answers: registry.toml (whose encoder is a
// name there, no path), the lock, the gate, the packages that they refer to with their held-out
// logits and verdicts, and what the report shows of baselines, precisions and training. The history
// and unfinished trainings stay. Takes no lock and changes nothing. Throws E_REG_* for a registry
// that cannot be read or was changed meanwhile, E_REG_MISSING for a package that is not there, and
// E_WRITE.
Transfer export_registry(const fs::path& registry, const fs::path& output);

// Makes `registry`, which is not there yet or empty, of the archive: all or nothing. Its encoder is
// the folder `encoder`. Every digest is checked, those of the archive and those of the packages.
// Throws E_CONFIG if something is there, E_REG_ARCHIVE for what export_registry() did not write,
// and as check_files().
Transfer import_registry(const fs::path& file, const fs::path& registry, const fs::path& encoder);

}  // namespace moecollab::registry
