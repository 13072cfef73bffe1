#include "conformance/elf_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "base/files.h"
#include "experts/scanner.h"

namespace moecollab::conformance {
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
      experts::scan_library(bad, "x.so");
      read_elf(bad, "x.so");
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace moecollab::conformance
