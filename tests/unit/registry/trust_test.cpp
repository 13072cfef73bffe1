#include "registry/trust.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/archive.h"
#include "registry/archive.h"
#include "registry/package.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

struct SignedPackage : testing::Test {
  SignedPackage() {
    const std::string library = "not an ELF file, but small";
    write(folder.path() / "libclauses.so", library);
    manifest = manifest_text(sha256_hex(library));
    write(folder.path() / kManifestFile, manifest);
    sign();
  }
  void sign() {
    write(folder.path() / kSignatureFile, secret.sign(manifest, "com.example.clauses 1.2.0"));
  }
  std::vector<TrustEntry> trust(const SecretKey& key) const {
    return {{"nobody", SecretKey::generate().public_key().text()},
            {"Example Ltd", key.public_key().text()}};
  }
  TemporaryFolder folder;
  std::string manifest;
  const SecretKey secret = SecretKey::generate();
};

TEST_F(SignedPackage, NamesItsPublisher) {
  const auto signer = check_signature(folder.path(), trust(secret));
  ASSERT_TRUE(signer);
  EXPECT_EQ(signer->publisher, "Example Ltd");
  EXPECT_EQ(signer->trusted_comment, "com.example.clauses 1.2.0");
  fs::remove(folder.path() / kSignatureFile);
  EXPECT_FALSE(check_signature(folder.path(), trust(secret)));
}

TEST_F(SignedPackage, IsRefusedWhereItsSignatureDoesNotHold) {
  expect_error([&] { check_signature(folder.path(), {}); }, "E_PLUG_SIG_UNKNOWN",
               secret.public_key().id_text());
  write(folder.path() / kManifestFile, manifest + "# more\n");
  expect_error([&] { check_signature(folder.path(), trust(secret)); }, "E_PLUG_SIG", "expert.toml");
  write(folder.path() / kSignatureFile, "untrusted comment: x\n");
  expect_error([&] { check_signature(folder.path(), trust(secret)); }, "E_PLUG_SIG_FORMAT", "line");
}

TEST_F(SignedPackage, AnyFlippedByteOfTheArchiveIsRefused) {
  const std::string good = to_archive(package_files(folder.path()));
  const TemporaryFolder work;
  const fs::path file = work.path() / "clauses.moec";
  const auto accept = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    const PackageFolder opened(file);
    check_files(open_package(opened.path()));
    if (!check_signature(opened.path(), trust(secret))) throw Error("E_TEST", "it is not signed");
  };
  EXPECT_NO_THROW(accept(good));
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_THROW(accept(bad), Error) << "byte " << at << " of " << good.size();
  }
}

}  // namespace
}  // namespace moecollab::registry
