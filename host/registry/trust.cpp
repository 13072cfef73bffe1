#include "registry/trust.h"

#include <fmt/format.h>

#include "base/archive.h"
#include "base/error.h"
#include "base/strings.h"
#include "registry/archive.h"
#include "registry/manifest.h"

namespace moecollab::registry {
namespace {

constexpr uint64_t kMaxSignature = 4096;  // bytes

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

std::optional<Signer> check_signature(const fs::path& package,
                                      const std::vector<TrustEntry>& trust) {
  const fs::path file = package / kSignatureFile;
  if (!fs::exists(file)) return std::nullopt;
  const Signature signature = Signature::parse(read_file(file, "E_REG_IO", kMaxSignature));
  for (const TrustEntry& entry : trust) {
    const PublicKey key = PublicKey::parse(entry.key);
    if (key.id != signature.key_id) continue;
    verify(signature, key, read_file(package / kManifestFile, "E_REG_IO", kMaxManifest),
           kManifestFile);
    return Signer{key.id_text(), entry.publisher, signature.trusted_comment};
  }
  throw Error("E_PLUG_SIG_UNKNOWN",
              fmt::format("the package is signed by key {}, which registry.toml does not trust",
                          signature.key_id_text()),
              "if you know whose it is, add [[trust]] with its publisher and key to registry.toml");
}

}  // namespace moecollab::registry
