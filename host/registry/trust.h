// Packages as folders or archives, and who signed them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "registry/minisign.h"
#include "registry/package.h"
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
// must hold: it throws E_PLUG_SIG_UNKNOWN if no key of `trust` made it, E_PLUG_SIG_EXPIRED if that
// key's last day was before `today`, E_PLUG_SIG_SCOPE if it may not sign this id, and as verify().
std::optional<Signer> check_signature(const fs::path& package, const std::vector<TrustEntry>& trust,
                                      const std::string& today);

// Whether a registry may use a package that is installed in it, or is about to be.
struct TrustRules {
  const RegistryFile& registry;
  bool made_here = false;  // trained in this registry: needs no signature
  // A signature that is there must hold even if none is required: of a package that is new here.
  // Else one by a key that is unknown, or counts no more, is none.
  bool is_new = false;
  std::string today;  // "2026-11-29", UTC
};

// Throws E_PLUG_REVOKED for a package, and E_PLUG_SIG_REVOKED for a key, that is revoked;
// E_PLUG_SIG_MISSING if a signature is required and there is none; and as check_signature() where
// it must hold.
std::optional<Signer> check_trust(const Package& package, const TrustRules& rules);

// This day in UTC.
std::string today_utc();

}  // namespace moecollab::registry
