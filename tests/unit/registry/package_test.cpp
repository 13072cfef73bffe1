#include "registry/package.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "registry/beneath.h"
#include "registry/desktop_files.h"
#include "registry/permissions.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

class PackageTest : public testing::Test {
 protected:
  PackageTest() : folder_(root_.path() / "package") { write_package(folder_); }
  void expect_refused(const std::string& code, const std::string& part) {
    expect_error([&] { check_files(open_package(folder_)); }, code, part);
  }

  TemporaryFolder root_;
  fs::path folder_;
};

TEST_F(PackageTest, AWholePackagePasses) {
  write(folder_ / "expert.toml.minisig", "signature");
  const Package package = open_package(folder_);
  EXPECT_EQ(package.manifest.expert.name, "legal");
  EXPECT_EQ(package.manifest_sha256, file_sha256_hex(folder_ / "expert.toml", "E_REG_IO"));
  EXPECT_EQ(library_file(package.manifest), "libclauses.so");
  EXPECT_NO_THROW(check_files(package));
}

TEST_F(PackageTest, FilesMayLieInSubfolders) {
  const std::string listed = "[files]\n\"data/deep/words.txt\" = \"" + sha256_hex("words") + "\"";
  write_package(folder_, replaced(manifest_text(sha256_hex("library")), "[files]", listed));
  write(folder_ / "data/deep/words.txt", "words");
  EXPECT_NO_THROW(check_files(open_package(folder_)));
  write(folder_ / "data/deep/words.txt", "wordz");
  expect_refused("E_PLUG_DIGEST", "data/deep/words.txt");
}

TEST_F(PackageTest, FolderOrManifestMissing) {
  expect_error([&] { open_package(root_.path() / "none"); }, "E_REG_IO",
               (root_.path() / "none").string() + " cannot be read: No such file");
  expect_error([&] { open_package(folder_ / "expert.toml"); }, "E_REG_IO", "Not a directory");
  fs::remove(folder_ / "expert.toml");
  expect_error([&] { open_package(folder_); }, "E_REG_IO",
               "expert.toml cannot be read: No such file");
}

TEST_F(PackageTest, MissingLibrary) {
  fs::remove(folder_ / "libclauses.so");
  expect_refused("E_PLUG_PATH", "libclauses.so: missing");
  write_package(folder_, replaced(manifest_text(),
                                  "\"libclauses.so\" = \"" + std::string(64, 'a') + "\"", ""));
  expect_refused("E_PLUG_PATH", "missing library");
}

TEST_F(PackageTest, OneLibraryAtTheTop) {
  Manifest manifest = open_package(folder_).manifest;
  manifest.files["libother.so"] = std::string(64, 'b');
  expect_error([&] { library_file(manifest); }, "E_PLUG_PATH", "libclauses.so and libother.so");
  for (const char* name : {"sub/libclauses.so", "clauses.so", "lib.so", "libclauses.so.1"}) {
    manifest.files = {{name, std::string(64, 'b')}};
    expect_error([&] { library_file(manifest); }, "E_PLUG_PATH", "missing library");
  }
}

TEST_F(PackageTest, R08_OneBitShowsBothDigests) {
  write(folder_ / "libclauses.so", "librarx");
  const Error error = error_of([&] { check_files(open_package(folder_)); });
  EXPECT_EQ(error.code(), "E_PLUG_DIGEST");
  EXPECT_THAT(error.what(), testing::HasSubstr(sha256_hex("library")));
  EXPECT_THAT(error.what(), testing::HasSubstr(sha256_hex("librarx")));
}

TEST_F(PackageTest, UnlistedFilesAreRefused) {
  write(folder_ / "sub/extra.txt", "x");
  expect_refused("E_PLUG_PATH", "sub/extra.txt: lies in the package");
  fs::remove_all(folder_ / "sub");
  fs::create_symlink("/etc", folder_ / "link");
  expect_refused("E_PLUG_PATH", "link: lies in the package");
}

TEST_F(PackageTest, ADesktopsFileIsNamedWithTheCommandThatRemovesIt) {
  for (const char* name : {".DS_Store", "._x", ".directory", "THUMBS.DB", "Desktop.ini"}) {
    const fs::path file = folder_ / name;
    write(file, "x");
    const Error error = error_of([&] { check_files(open_package(folder_)); });
    EXPECT_EQ(error.code(), "E_PLUG_PATH");
    EXPECT_THAT(error.what(), testing::HasSubstr("a desktop's file manager left it"));
    EXPECT_EQ(error.hint(), "remove it: rm '" + file.string() + "'");
    fs::remove(file);
  }
  EXPECT_EQ(removal_command("it's/.DS_Store"), "rm 'it'\\''s/.DS_Store'");
}

TEST_F(PackageTest, R06_SymbolicLinks) {
  fs::rename(folder_ / "libclauses.so", root_.path() / "elsewhere.so");
  fs::create_symlink(root_.path() / "elsewhere.so", folder_ / "libclauses.so");
  expect_refused("E_PLUG_PATH", "it is a symbolic link");

  fs::remove(folder_ / "libclauses.so");
  const std::string listed = "\"sub/libx.so\" = \"" + sha256_hex("x") + "\"\n[provenance]";
  write_package(folder_, replaced(manifest_text(sha256_hex("library")), "[provenance]", listed));
  write(root_.path() / "real/libx.so", "x");
  fs::create_directory_symlink(root_.path() / "real", folder_ / "sub");
  expect_error([&] { PackageFile(folder_, "sub/libx.so"); }, "E_PLUG_PATH", "symbolic link");
  expect_refused("E_PLUG_PATH", "sub");
}

TEST_F(PackageTest, R06_ManifestIsALink) {
  fs::rename(folder_ / "expert.toml", root_.path() / "expert.toml");
  fs::create_symlink("../expert.toml", folder_ / "expert.toml");
  expect_error([&] { open_package(folder_); }, "E_PLUG_PATH", "it is a symbolic link");
}

// Opening a FIFO for reading would wait for a writer, so this test would hang.
TEST_F(PackageTest, R06_FifoFolderSocketAndDeviceAreNotOpened) {
  const fs::path library = folder_ / "libclauses.so";
  fs::remove(library);
  ASSERT_EQ(::mkfifo(library.c_str(), 0600), 0);
  expect_refused("E_PLUG_PATH", "it is a FIFO");

  fs::remove(library);
  fs::create_directory(library);
  expect_refused("E_PLUG_PATH", "it is a folder");

  fs::remove(library);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(library.string().size(), sizeof address.sun_path);
  std::strcpy(address.sun_path, library.c_str());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  expect_refused("E_PLUG_PATH", "it is a socket");
  ::close(socket);

  expect_error([] { PackageFile("/dev", "null"); }, "E_PLUG_PATH", "it is a device");
}

TEST_F(PackageTest, R06_PathsThatLeaveTheFolder) {
  for (const char* path :
       {"../package/expert.toml", "/etc/passwd", "/proc/self/fd/0", "a/../expert.toml"}) {
    expect_error([&] { PackageFile(folder_, path); }, "E_PLUG_PATH", path);
  }
}

TEST_F(PackageTest, WhatWasOpenedIsWhatIsRead) {
  const PackageFile file(folder_, "libclauses.so");
  write(folder_ / "libclauses.so", "another");
  EXPECT_EQ(file.size(), 7u);
  EXPECT_EQ(file.read(100), "library");
  EXPECT_EQ(file.sha256_hex(), sha256_hex("library"));
  expect_error([&] { file.read(6); }, "E_REG_SIZE", "7 bytes, more than the 6");
}

TEST_F(PackageTest, R07_WhatOthersMayChangeIsRefused) {
  const Package package = open_package(folder_);
  const fs::path library = folder_ / "libclauses.so";
  protect(folder_);
  EXPECT_NO_THROW(require_protected(package));
  for (const fs::path& path : {folder_, library}) {
    for (const fs::perms write : {fs::perms::group_write, fs::perms::others_write}) {
      fs::permissions(path, write, fs::perm_options::add);
      expect_error([&] { require_protected(package); }, "E_PLUG_PERM",
                   "may be changed by others than its owner");
      protect(folder_);
      EXPECT_NO_THROW(require_protected(package));
    }
  }
  if (::geteuid() != 0) return;  // only root can give files away
  ASSERT_EQ(::chown(library.c_str(), 12345, 12345), 0);
  expect_error([&] { require_protected(package); }, "E_PLUG_PERM", "belongs to user 12345");
}

}  // namespace
}  // namespace moecollab::registry
