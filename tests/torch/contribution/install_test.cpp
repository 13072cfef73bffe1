// Packages that get into a registry.
#include "contribution/install.h"

#include <thread>

#include "torch/tiny_encoder.h"
#include "unit/registry/fixtures.h"

namespace moecollab::contribution {
namespace {

using registry::write;

struct InstallTest : ::testing::Test {
  InstallTest() { write(registry / "registry.toml", "schema = 1\n"); }
  registry::Package package(const std::string& version = "2.1.0") {
    const fs::path folder = packages.path() / version;
    registry::write_package(
        folder, registry::replaced(registry::manifest_text(sha256_hex("library")),
                                   "version = \"2.1.0\"", "version = \"" + version + "\""));
    return registry::open_package(folder);
  }
  std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
      names.push_back(entry.path().filename().string());
    return names;
  }
  pipeline::PoolOptions options() {
    pipeline::PoolOptions options;
    options.registry = registry;
    options.note = {"moecollab experts add legal.moec", ""};
    return options;
  }
  size_t entries() { return registry::read_registry(registry).experts.size(); }

  TemporaryFolder root, packages;
  fs::path registry = root.path(), legal = registry / "experts" / "legal";
};

// The folder `top` that holds an encoder, and what a registry made in it says of the encoder's
// path.
struct NewRegistryTest : ::testing::Test {
  NewRegistryTest() {
    fs::create_directories(top / "deps");
    fs::copy(moecollab::testing::TinyEncoder().folder(), top / "deps" / "tiny");
  }
  std::string path_in(const fs::path& registry, const fs::path& encoder) {
    ensure_registry(registry, {encoder, std::nullopt}, collecting.log());
    const registry::EncoderEntry entry = registry::read_registry(registry).encoder;
    const fs::path found = pipeline::encoder_settings(entry, registry).folder;
    EXPECT_TRUE(fs::equivalent(found, encoder)) << found;
    EXPECT_EQ(entry.max_length, 40);
    return entry.path;
  }
  TemporaryFolder root;
  fs::path top = root.path() / "top";
  CollectingLog collecting{Log()};
};

TEST_F(NewRegistryTest, AnEncoderBesideItIsNamedRelativeToTheRegistry) {
  EXPECT_EQ(path_in(top / "registry", top / "deps" / "tiny"), "../deps/tiny");
  EXPECT_THAT(collecting.texts(),
              ::testing::ElementsAre(::testing::HasSubstr("cut at 40 tokens instead of 256")));
  EXPECT_EQ(path_in(top / "deps" / "registry", top / "registry" / ".." / "deps" / "tiny" / ""),
            "../tiny");
  EXPECT_EQ(path_in(top, top / "deps" / "tiny"), "deps/tiny");
  // They move together.
  fs::rename(top, root.path() / "moved");
  pipeline::PoolOptions options;
  options.registry = root.path() / "moved" / "registry";
  EXPECT_EQ(pipeline::Pool(options).encoder()->max_length(), 40);
}

TEST_F(NewRegistryTest, AnEncoderElsewhereIsNamedByItsAbsolutePath) {
  EXPECT_EQ(path_in(top / "a" / "registry", top / "deps" / "tiny"),
            (fs::canonical(top) / "deps" / "tiny").string());
}

TEST_F(NewRegistryTest, LinksToTheRegistryAreSeenThrough) {
  fs::create_directories(top / "a" / "b");
  fs::create_directory_symlink("a/b", top / "link");
  EXPECT_EQ(path_in(top / "link", top / "deps" / "tiny"),
            (fs::canonical(top) / "deps" / "tiny").string());
  fs::create_directory_symlink("../deps/tiny", top / "a" / "current");
  EXPECT_EQ(path_in(top / "link" / "registry", top / "a" / "current"),
            (fs::canonical(top) / "a" / "current").string());
  fs::create_directories(top / "a" / "c");
  EXPECT_EQ(path_in(top / "a" / "c", top / "a" / "current"), "../current");
}

TEST_F(InstallTest, CopiesThePackageAndAppendsAnEntry) {
  install(options(), package(), "legal");
  EXPECT_EQ(registry::open_package(legal / "2.1.0").manifest_sha256, package().manifest_sha256);
  EXPECT_EQ(read_file(legal / "2.1.0" / "libclauses.so", "E_TEST"), "library");
  EXPECT_EQ(entries(), 1u);
}

// Killed between the package's name and the registry's entry.
TEST_F(InstallTest, TheSamePackageAgainAddsTheEntryThatIsMissing) {
  place_package(registry, package(), legal / "2.1.0", Log());
  EXPECT_EQ(entries(), 0u);
  for (int i = 0; i < 2; ++i) {
    install(options(), package(), "legal");
    EXPECT_EQ(entries(), 1u);
  }
  registry::write_package(packages.path() / "other",
                          registry::replaced(registry::manifest_text(sha256_hex("library")),
                                             "contract clauses", "other clauses"));
  registry::expect_error(
      [&] { install(options(), registry::open_package(packages.path() / "other"), "legal"); },
      "E_REG_EXISTS", "installed already");
}

TEST_F(InstallTest, WhatAKilledInstallLeftIsRemoved) {
  write(legal / ".new.Q6otyg" / "package" / "libclauses.so", "libr");
  install(options(), package(), "legal");
  EXPECT_THAT(names_in(legal), ::testing::ElementsAre("2.1.0"));
}

// Killed between the package's renaming and the removal of its staging folder.
TEST_F(InstallTest, AnEmptyStagingFolderBesideThePackageIsRemoved) {
  place_package(registry, package(), legal / "2.1.0", Log());
  fs::create_directories(legal / ".new.Q6otyg");
  install(options(), package(), "legal");
  EXPECT_THAT(names_in(legal), ::testing::ElementsAre("2.1.0"));
}

// A power cut before the files reached the disk.
TEST_F(InstallTest, ThePackageIsCopiedAgainWhereItsFilesAreDamaged) {
  install(options(), package(), "legal");
  write_file_atomic(legal / "2.1.0" / "libclauses.so", "");
  install(options(), package(), "legal");
  EXPECT_EQ(read_file(legal / "2.1.0" / "libclauses.so", "E_TEST"), "library");
  EXPECT_THAT(names_in(legal), ::testing::ElementsAre("2.1.0"));
}

// It would take the place of an expert that works.
TEST_F(InstallTest, APackageOfAnotherIdIsRefusedAndLeavesNothing) {
  install(options(), package(), "legal");
  const std::string lock = read_file(registry / "registry.lock.toml", "E_TEST");
  const fs::path other = packages.path() / "other";
  std::string text = registry::manifest_text(sha256_hex("library"));
  text = registry::replaced(text, "version = \"2.1.0\"", "version = \"2.2.0\"");
  registry::write_package(other,
                          registry::replaced(text, "com.example.clauses.legal", "org.other"));
  registry::expect_error([&] { install(options(), registry::open_package(other), "legal"); },
                         "E_DESC_MISMATCH", "org.other");
  EXPECT_FALSE(fs::exists(legal / "2.2.0"));
  EXPECT_EQ(read_file(registry / "registry.lock.toml", "E_TEST"), lock);
}

TEST_F(InstallTest, InstallsAtTheSameTimeAllGetTheirEntry) {
  std::vector<registry::Package> all;
  for (int i = 0; i < 8; ++i) all.push_back(package("2." + std::to_string(i) + ".0"));
  std::vector<std::thread> installing;
  for (size_t i = 0; i < all.size(); ++i) {
    installing.emplace_back([&, i] { install(options(), all[i], "legal-" + std::to_string(i)); });
  }
  for (std::thread& thread : installing) thread.join();
  EXPECT_EQ(entries(), all.size());
}

}  // namespace
}  // namespace moecollab::contribution
