#include "experts/elf_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/error.h"
#include "base/files.h"
#include "experts/scanner.h"

namespace moecollab::experts {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

std::string sample() { return read_file(MOECOLLAB_KEYWORDS, "E_TEST"); }

TEST(ElfFacts, AreThoseOfASampleExpert) {
  const ElfFacts facts = read_elf(sample(), "x.so");
  EXPECT_THAT(facts.exports, ElementsAre("moec_plugin_entry"));
  EXPECT_TRUE(facts.unique.empty());
  EXPECT_THAT(facts.needed, Contains("libc.so.6"));
  EXPECT_EQ(facts.run_path, "");
  EXPECT_FALSE(facts.text_relocations);
  EXPECT_FALSE(facts.executable_stack);
  EXPECT_GE(greatest_version(facts.versions, "GLIBC_"), (std::vector<int>{2, 2, 5}));
}

TEST(ElfFacts, VersionsCompareAsNumbers) {
  const std::vector<std::string> versions = {"GLIBC_2.9", "GLIBC_2.34", "GLIBC_PRIVATE",
                                             "GLIBCXX_3.4.9", "GLIBCXX_3.4.30"};
  EXPECT_EQ(greatest_version(versions, "GLIBC_"), (std::vector<int>{2, 34}));
  EXPECT_EQ(greatest_version(versions, "GLIBCXX_"), (std::vector<int>{3, 4, 30}));
  EXPECT_TRUE(greatest_version(versions, "CXXABI_").empty());
}

// what the loader would do before any later check is refused by name.
TEST(ElfFacts, R14_WhatTheLoaderWouldBeAskedForIsRefused) {
  const auto refused = [](auto change, const std::string& part) {
    ElfFacts facts = read_elf(sample(), "x.so");
    std::erase_if(facts.needed, [](const std::string& name) {  // of a sanitized build
      return name.starts_with("libasan") || name.starts_with("libubsan") ||
             name.starts_with("libclang_rt");
    });
    EXPECT_NO_THROW(require_plain(facts, "x.so"));
    change(facts);
    try {
      require_plain(facts, "x.so");
      ADD_FAILURE() << part << " passed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_ELF_POLICY");
      EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    }
  };
  refused([](ElfFacts& f) { f.executable_stack = true; }, "PT_GNU_STACK");
  refused([](ElfFacts& f) { f.writable_code = true; }, "writable and executable");
  refused([](ElfFacts& f) { f.text_relocations = true; }, "DT_TEXTREL");
  refused([](ElfFacts& f) { f.run_path = "$ORIGIN"; }, "$ORIGIN");
  refused([](ElfFacts& f) { f.audit = "libwatch.so"; }, "libwatch.so");
  refused([](ElfFacts& f) { f.needed.push_back("libevil.so"); }, "libevil.so");
  refused([](ElfFacts& f) { f.needed.push_back("/tmp/libc.so.6"); }, "/tmp/libc.so.6");
}

// The same in files that a linker made so.
TEST(ElfFacts, R14_LinkersFlagsAreRead) {
  const TemporaryFolder folder;
  const auto linked = [&](const std::string& flags) {
    const fs::path source = folder.path() / "x.c", library = folder.path() / "libx.so";
    write_file_atomic(source, "int moec_value;\nint moec_get(void) { return moec_value; }\n");
    const std::string command = "cc -shared -fPIC -o " + library.string() + " " + source.string() +
                                " " + flags + " 2> /dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0) << flags;
    return read_elf(read_file(library, "E_TEST"), "libx.so");
  };
  EXPECT_NO_THROW(require_plain(linked(""), "libx.so"));
  EXPECT_TRUE(linked("-Wl,-z,execstack").executable_stack);
  EXPECT_EQ(linked("-Wl,-rpath,'$ORIGIN'").run_path, "$ORIGIN");
  EXPECT_EQ(linked("-Wl,--audit,libwatch.so").audit, "libwatch.so");
  EXPECT_TRUE(linked("-nostdlib -Wl,-N").writable_code);
}

// Nothing outside the bytes is read (ASan) and nothing runs for long, whatever they say.
TEST(ElfFacts, SurviveDamage) {
  const std::string good = sample();
  std::mt19937 draw(1);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    if (i % 10 == 0) bad.resize(draw() % bad.size());
    // The headers and the tables at the front are where damage matters.
    for (int flips = 1 + static_cast<int>(draw() % 4); flips > 0 && !bad.empty(); --flips)
      bad[draw() % std::min<size_t>(bad.size(), i % 2 == 0 ? 4096 : bad.size())] =
          static_cast<char>(draw());
    try {
      scan_library(bad, "x.so");
      read_elf(bad, "x.so");
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace moecollab::experts
