#include "registry/trust.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/archive.h"
#include "registry/archive.h"
#include "registry/package.h"
#include "registry/resolution.h"
#include "unit/in_brief.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

const std::string kToday = "2026-11-29";

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
    return {{"nobody", SecretKey::generate().public_key().text(), {}, {}},
            {"Example Ltd", key.public_key().text(), {}, {}}};
  }
  TemporaryFolder folder;
  std::string manifest;
  const SecretKey secret = SecretKey::generate();
};

TEST_F(SignedPackage, NamesItsPublisher) {
  const auto signer = check_signature(folder.path(), trust(secret), kToday);
  ASSERT_TRUE(signer);
  EXPECT_EQ(signer->publisher, "Example Ltd");
  EXPECT_EQ(signer->trusted_comment, "com.example.clauses 1.2.0");
  fs::remove(folder.path() / kSignatureFile);
  EXPECT_FALSE(check_signature(folder.path(), trust(secret), kToday));
}

TEST_F(SignedPackage, IsRefusedWhereItsSignatureDoesNotHold) {
  expect_error([&] { check_signature(folder.path(), {}, kToday); }, "E_PLUG_SIG_UNKNOWN",
               secret.public_key().id_text());
  write(folder.path() / kManifestFile, manifest + "# more\n");
  expect_error([&] { check_signature(folder.path(), trust(secret), kToday); }, "E_PLUG_SIG",
               "expert.toml");
  write(folder.path() / kSignatureFile, "untrusted comment: x\n");
  expect_error([&] { check_signature(folder.path(), trust(secret), kToday); }, "E_PLUG_SIG_FORMAT",
               "line");
}

// each fault of a signature has a code of its own.
struct Trust : SignedPackage {
  Trust() { registry.trust = trust(secret); }
  std::string code(bool is_new = true, bool made_here = false) {
    return code_of([&] {
      check_trust(
          open_package(folder.path()),
          {.registry = registry, .made_here = made_here, .is_new = is_new, .today = kToday});
    });
  }
  RegistryFile registry;
};

TEST_F(Trust, R09_MissingIsRefusedIfRequiredUnlessItWasTrainedHere) {
  fs::remove(folder.path() / kSignatureFile);
  EXPECT_EQ(code(), "none");
  registry.policy.require_signature = true;
  EXPECT_EQ(code(), "E_PLUG_SIG_MISSING");
  EXPECT_EQ(code(/*is_new=*/false), "E_PLUG_SIG_MISSING");
  EXPECT_EQ(code(/*is_new=*/false, /*made_here=*/true), "none");
}

TEST_F(Trust, R09_CorruptOtherFileAndAlteredComment) {
  const std::string good = read_file(folder.path() / kSignatureFile, "E_TEST");
  write(folder.path() / kSignatureFile, "corrupt");
  EXPECT_EQ(code(), "E_PLUG_SIG_FORMAT");
  write(folder.path() / kSignatureFile, replaced(good, "clauses 1.2.0", "clauses 9.9.9"));
  EXPECT_EQ(code(), "E_PLUG_SIG_COMMENT");
  write(folder.path() / kSignatureFile, good);
  write(folder.path() / kManifestFile, manifest + "# more\n");
  EXPECT_EQ(code(), "E_PLUG_SIG");
  EXPECT_EQ(code(/*is_new=*/false), "E_PLUG_SIG") << "damage is damage, required or not";
}

// For what is installed, a signature that counts no more is as good as none.
TEST_F(Trust, R09_UnknownExpiredAndOutOfScope) {
  const auto expect_code = [&](const std::string& wanted) {
    EXPECT_EQ(code(), wanted);
    EXPECT_EQ(code(/*is_new=*/false), "none");
    registry.policy.require_signature = true;
    EXPECT_EQ(code(/*is_new=*/false), wanted);
    EXPECT_EQ(code(/*is_new=*/false, /*made_here=*/true), "none");
    registry.policy.require_signature = false;
  };
  registry.trust[1].expires = "2026-11-28";
  expect_code("E_PLUG_SIG_EXPIRED");
  registry.trust[1].expires = kToday;
  EXPECT_EQ(code(), "none") << "the last day counts";
  registry.trust[1].scope = {"com.example.news", "org.*"};
  expect_code("E_PLUG_SIG_SCOPE");
  registry.trust[1].scope.push_back("com.example.*");
  EXPECT_EQ(code(), "none");
  registry.trust.pop_back();
  expect_code("E_PLUG_SIG_UNKNOWN");
}

TEST_F(Trust, RevokedKeysAndPackagesAreRefusedWhateverElseIsSaid) {
  registry.revoked.keys = {SecretKey::generate().public_key().text()};
  EXPECT_EQ(code(), "none");
  registry.revoked.keys.push_back(secret.public_key().text());
  EXPECT_EQ(code(/*is_new=*/false, /*made_here=*/true), "E_PLUG_SIG_REVOKED");
  registry.revoked.packages = {open_package(folder.path()).manifest_sha256};
  EXPECT_EQ(code(/*is_new=*/false, /*made_here=*/true), "E_PLUG_REVOKED");
}

TEST_F(Trust, IsAskedWhereverARegistryIsRead) {
  const TemporaryFolder root;
  fs::create_directories(root.path() / "experts" / "legal");
  fs::copy(folder.path(), root.path() / "experts" / "legal" / "2.1.0");
  ExpertEntry entry;
  entry.name = "legal";
  entry.id = "com.example.clauses.legal";
  registry.experts = {entry};
  registry.policy.require_signature = true;
  EXPECT_EQ(resolve(root.path(), registry, {}).at(0).state, State::kManifestOk);
  registry.trust[1].expires = "2020-01-01";
  EXPECT_EQ(resolve(root.path(), registry, {}).at(0).refusal->code, "E_PLUG_SIG_EXPIRED");
  const Lock made_here{{}, {open_package(folder.path()).manifest_sha256}};
  EXPECT_EQ(resolve(root.path(), registry, made_here).at(0).state, State::kManifestOk);
}

TEST_F(SignedPackage, AnyFlippedByteOfTheArchiveIsRefused) {
  const std::string good = to_archive(package_files(folder.path()));
  const TemporaryFolder work;
  const fs::path file = work.path() / "clauses.moec";
  const auto accept = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    const PackageFolder opened(file);
    check_files(open_package(opened.path()));
    if (!check_signature(opened.path(), trust(secret), kToday))
      throw Error("E_TEST", "it is not signed");
  };
  EXPECT_NO_THROW(accept(good));
  for (size_t at = 0; at < good.size(); at += in_brief() ? 3 : 1) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_THROW(accept(bad), Error) << "byte " << at << " of " << good.size();
  }
}

}  // namespace
}  // namespace moecollab::registry
