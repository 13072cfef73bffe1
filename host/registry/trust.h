// Packages as folders or archives, and who signed them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "registry/minisign.h"
#include "registry/registry_file.h"

namespace moecollab::registry {

// A package's folder: `path` itself, or a temporary one that holds what the archive FILE.moec held.
class PackageFolder {
 public:
  // Throws as from_archive().
  explicit PackageFolder(const fs::path& path);
  const fs::path& path() const { return path_; }

 private:
  std::unique_ptr<TemporaryFolder> extracted_;
  fs::path path_;
};

struct Signer {
  std::string key_id;     // as minisign prints it
  std::string publisher;  // of [[trust]]
  std::string trusted_comment;
};

// Who signed the package's manifest; nullopt for a package without a signature. One that is there
// must hold: it throws E_PLUG_SIG_UNKNOWN if no key of `trust` made it, and as verify().
std::optional<Signer> check_signature(const fs::path& package,
                                      const std::vector<TrustEntry>& trust);

}  // namespace moecollab::registry
