// A registry that moves as one file.
#include "registry/transfer.h"

#include <random>

#include "base/archive.h"
#include "registry/history.h"
#include "registry/layout.h"
#include "registry/operations.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct TransferTest : testing::Test {
  TransferTest() {
    fs::create_directories(here);
    write(here / "registry.toml",
          "schema = 1\n[encoder]\npath = \"" + (root.path() / "secret" / "encoder").string() +
              "\"  # ours\nfingerprint = \"" + kFingerprint +
              "\"\n\n[[expert]]\nname = \"legal\"\nid = \"com.example.clauses.legal\"\n");
    for (const char* version : {"2.1.0", "2.0.0"})
      write_package(here / "experts" / "legal" / version,
                    replaced(manifest_text(sha256_hex("library")), "version = \"2.1.0\"",
                             std::string("version = \"") + version + "\""));
    write_lock_again({here, {"moecollab experts lock", ""}, false, Log()});
    write(here / "gate" / "gate.toml", "schema = 1\n");
    write(here / "history" / "legal.jsonl", "{}\n");
    const Package package = open_package(here / "experts" / "legal" / "2.1.0");
    write(held_out_file(here, package.manifest_sha256), "logits");
    write(held_out_file(here, std::string(64, 'f')), "of nobody");
    fs::create_directories(root.path() / "deps" / "encoder");
  }
  Transfer import(const fs::path& to) {
    return import_registry(file, to, root.path() / "deps" / "encoder");
  }
  static std::map<std::string, std::string> files(const fs::path& folder) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (entry.is_regular_file())
        found[fs::relative(entry.path(), folder).string()] = read_file(entry.path(), "E_TEST");
    return found;
  }

  TemporaryFolder root;
  fs::path here = root.path() / "here", there = root.path() / "deps" / "there",
           file = root.path() / "pool.moecreg";
};

TEST_F(TransferTest, HoldsWhatTheAnswersNeedAndNoPathOfThisMachine) {
  const Transfer out = export_registry(here, file);
  EXPECT_THAT(out.packages, ElementsAre("legal 2.1.0"));
  EXPECT_EQ(out.fingerprint, kFingerprint);
  EXPECT_THAT(read_file(file, "E_TEST"), testing::Not(HasSubstr("secret")));
  const Transfer in = import(there);
  EXPECT_EQ(in.packages, out.packages);
  EXPECT_EQ(in.files, out.files);
  auto wanted = files(here), got = files(there);
  EXPECT_THAT(got["registry.toml"], HasSubstr("path = \"../encoder\"  # ours\n"));
  for (auto it = wanted.begin(); it != wanted.end();)
    it = it->first.starts_with("experts/legal/2.0.0") || it->first.starts_with("history/changes") ||
                 it->first.starts_with("history/objects") || it->first == ".lock" ||
                 it->first == "registry.toml" || it->second == "of nobody"
             ? wanted.erase(it)
             : std::next(it);
  got.erase("registry.toml");
  EXPECT_EQ(got, wanted);
}

TEST_F(TransferTest, DoesNotOverwriteAnything) {
  export_registry(here, file);
  expect_error([&] { import(here); }, "E_CONFIG", "is there already");
  fs::create_directories(there);
  EXPECT_NO_THROW(import(there)) << "an empty folder is nothing";
  expect_error([&] { import(there); }, "E_CONFIG", "is there already");
}

TEST_F(TransferTest, AnUnfinishedChangeIsNotExported) {
  write(pending_file(here),
        to_text(HistoryEntry{2, "", "", {}, present_state(here), present_state(here)}.to_json()));
  expect_error([&] { export_registry(here, file); }, "E_REG_IO", "experts lock");
  EXPECT_FALSE(fs::exists(file));
}

// An archive of yesterday stays if today's cannot be made.
TEST_F(TransferTest, AFailedExportLeavesTheFileThatWasThere) {
  write(file, "yesterday's");
  const auto changed = [] { throw Error("E_REG_IO", "it was changed meanwhile"); };
  expect_error(
      [&] {
        write_archive(file, {{"x", here / "registry.toml"}}, changed);
      },
      "E_REG_IO", "meanwhile");
  EXPECT_EQ(read_file(file, "E_TEST"), "yesterday's");
}

TEST_F(TransferTest, ADamagedPackageIsNotExported) {
  write(here / "experts" / "legal" / "2.1.0" / "libclauses.so", "another");
  expect_error([&] { export_registry(here, file); }, "E_PLUG_DIGEST", "libclauses.so");
  EXPECT_FALSE(fs::exists(file));
}

// Refused, or, if the damage is in bytes that mean nothing, as it was; and never half there.
TEST_F(TransferTest, DamagedArchivesAreRefusedAndLeaveNothing) {
  export_registry(here, file);
  import(there);
  const auto good = files(there);
  const std::string bytes = read_file(file, "E_TEST");
  std::mt19937 random(20);
  int refused = 0;
  constexpr int kTries = 300;
  for (int i = 0; i < kTries; ++i) {
    std::string bad = bytes;
    if (i % 3 == 0)
      bad.resize(random() % bytes.size());
    else
      bad[random() % (i % 3 == 1 ? 4096 : bytes.size())] ^= static_cast<char>(1 + random() % 255);
    write_file_atomic(file, bad);
    const fs::path to = root.path() / "deps" / "tried";
    try {
      import(to);
      EXPECT_EQ(files(to), good) << i;
    } catch (const Error& error) {
      ++refused;
      EXPECT_THAT(error.code(), testing::StartsWith("E_REG")) << error.what();
      EXPECT_FALSE(fs::exists(to)) << i << ": " << error.what();
    }
    fs::remove_all(to);
  }
  EXPECT_GT(refused, kTries * 2 / 3);
  for (const auto& entry : fs::directory_iterator(root.path() / "deps"))
    EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("encoder", "there"));
}

TEST_F(TransferTest, WhatNoExportHasIsRefused) {
  const auto refused = [&](std::vector<ArchiveFile> entries, const std::string& part) {
    write_archive(file, entries);
    expect_error([&] { import(there); }, "E_REG_ARCHIVE", part);
    EXPECT_FALSE(fs::exists(there));
  };
  write(root.path() / "x", "x");
  refused({{"registry.toml", root.path() / "x"}}, "no exported registry");
  write(root.path() / "list", R"({"schema": 1, "files": {}})");
  refused({{"export.json", root.path() / "list"}, {"bin/sh", root.path() / "x"}},
          "bin/sh is nothing of a registry");
  refused({{"export.json", root.path() / "list"}, {"gate/gate.toml", root.path() / "x"}},
          "not what was exported");
  refused({{"export.json", root.path() / "list"}}, "no registry.toml");
  write(root.path() / "list", R"({"schema": 1, "files": {"registry.toml": ""}})");
  refused({{"export.json", root.path() / "list"}}, "files are missing");
  write(root.path() / "list", R"({"schema": 1, "files": {}})");
  refused({{"export.json", root.path() / "list"}, {"history/pending.json", root.path() / "x"}},
          "history/pending.json is nothing of a registry");
  refused({{"export.json", root.path() / "list"},
           {"experts", root.path() / "x"},
           {"experts/x", root.path() / "x"}},
          "lies below a file");
  write(root.path() / "list", R"({"schema": 2, "files": {}})");
  refused({{"export.json", root.path() / "list"}}, "not of this version");
  expect_error([&] { write_archive(file, {{"../x", root.path() / "x"}}); }, "E_PLUG_PATH", "../x");
  write(file, "");
  expect_error([&] { import(there); }, "E_REG_ARCHIVE", "empty");
  expect_error([&] { import_registry(root.path() / "none", there, root.path()); }, "E_REG_ARCHIVE",
               "no file");
}

}  // namespace
}  // namespace moecollab::registry
