#include "registry/trust.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "base/archive.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/strings.h"
#include "registry/archive.h"
#include "registry/manifest.h"

namespace moecollab::registry {
namespace {

constexpr uint64_t kMaxSignature = 4096;  // bytes

// nullopt if there is none.
std::optional<Signature> read_signature(const fs::path& package) {
  const fs::path file = package / kSignatureFile;
  if (!fs::exists(file)) return std::nullopt;
  return Signature::parse(read_file(file, "E_REG_IO", kMaxSignature));
}

// The entry whose key made the signature; nullptr if there is none.
const TrustEntry* key_of(const Signature& signature, const std::vector<TrustEntry>& trust) {
  const auto found = std::ranges::find_if(trust, [&](const TrustEntry& entry) {
    return PublicKey::parse(entry.key).id == signature.key_id;
  });
  return found == trust.end() ? nullptr : &*found;
}

void require_unexpired(const TrustEntry& entry, const std::string& today) {
  if (entry.expires.empty() || today <= entry.expires) return;
  throw Error("E_PLUG_SIG_EXPIRED",
              fmt::format("the key of {} counted until {}, today is {}",
                          escaped(entry.publisher, 80), entry.expires, today),
              "ask the publisher for a package signed by a new key, or change `expires` in "
              "registry.toml");
}

void require_scope(const TrustEntry& entry, const std::string& id) {
  const auto covers = [&](const std::string& glob) {
    return ::fnmatch(glob.c_str(), id.c_str(), FNM_NOESCAPE) == 0;
  };
  if (entry.scope.empty() || std::ranges::any_of(entry.scope, covers)) return;
  throw Error("E_PLUG_SIG_SCOPE",
              fmt::format("the key of {} may sign {}, the package is {}",
                          escaped(entry.publisher, 80), escaped(join(entry.scope, ", "), 400), id),
              "if this publisher may sign it, add the id to `scope` in registry.toml");
}

void require_not_revoked(const Signature& signature, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    if (PublicKey::parse(key).id != signature.key_id) continue;
    throw Error("E_PLUG_SIG_REVOKED",
                fmt::format("the package is signed by key {}, which is revoked in registry.toml",
                            signature.key_id_text()),
                "ask its author for one that is signed by another key");
  }
}

}  // namespace

PackageFolder::PackageFolder(const fs::path& path) : path_(path) {
  if (!fs::is_regular_file(path)) return;
  const auto files = from_archive(read_file(path, "E_REG_IO", kMaxArchive), escaped(path.string()));
  const auto signature = files.find(kSignatureFile);
  if (signature != files.end() && with_fixed_comment(signature->second) != signature->second) {
    throw Error("E_PLUG_ARCHIVE",
                fmt::format("{}: its signature's untrusted comment is not the one that `moecollab "
                            "pack` writes",
                            escaped(path.string())),
                "get it again, or pack it again");
  }
  extracted_ = std::make_unique<TemporaryFolder>("moecollab-package");
  extract(files, extracted_->path());
  path_ = extracted_->path();
}

std::optional<Signer> check_signature(const fs::path& package, const std::vector<TrustEntry>& trust,
                                      const std::string& today) {
  const std::optional<Signature> signature = read_signature(package);
  if (!signature) return std::nullopt;
  const TrustEntry* entry = key_of(*signature, trust);
  if (entry == nullptr) {
    throw Error(
        "E_PLUG_SIG_UNKNOWN",
        fmt::format("the package is signed by key {}, which registry.toml does not trust",
                    signature->key_id_text()),
        "if you know whose it is, add [[trust]] with its publisher and key to registry.toml");
  }
  require_unexpired(*entry, today);
  const PublicKey key = PublicKey::parse(entry->key);
  const std::string manifest = read_file(package / kManifestFile, "E_REG_IO", kMaxManifest);
  verify(*signature, key, manifest, kManifestFile);
  require_scope(*entry, parse_manifest(manifest, kManifestFile).expert.id);
  return Signer{key.id_text(), entry->publisher, signature->trusted_comment};
}

std::optional<Signer> check_trust(const Package& package, const TrustRules& rules) {
  const RegistryFile& registry = rules.registry;
  if (std::ranges::find(registry.revoked.packages, package.manifest_sha256) !=
      registry.revoked.packages.end()) {
    throw Error("E_PLUG_REVOKED",
                fmt::format("package {} is revoked in registry.toml", package.manifest_sha256),
                "upgrade to another version, or take the digest out of [revoked] packages");
  }
  const std::optional<Signature> signature = read_signature(package.folder);
  if (signature) require_not_revoked(*signature, registry.revoked.keys);
  const bool required = registry.policy.require_signature && !rules.made_here;
  if (!signature && required) {
    throw Error("E_PLUG_SIG_MISSING",
                "the package has no signature, and registry.toml says require_signature = true",
                "ask its author for a signed one, or sign it yourself with `moecollab sign` and a "
                "key of [[trust]]");
  }
  if (!signature) return std::nullopt;
  try {
    return check_signature(package.folder, registry.trust, rules.today);
  } catch (const Error& error) {
    const bool counts_as_none = error.code() == "E_PLUG_SIG_UNKNOWN" ||
                                error.code() == "E_PLUG_SIG_EXPIRED" ||
                                error.code() == "E_PLUG_SIG_SCOPE";
    if (required || rules.is_new || !counts_as_none) throw;
    return std::nullopt;
  }
}

std::string today_utc() { return utc_now("%Y-%m-%d"); }

}  // namespace moecollab::registry
