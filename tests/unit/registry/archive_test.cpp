#include "registry/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/archive.h"
#include "base/digest.h"
#include "base/error.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using Files = std::map<std::string, std::string>;

const Files kFiles = {
    {"expert.toml", "schema = 1\n"}, {"libx.so", std::string(1000, '\x7f')}, {"data/empty", ""}};

TEST(Archive, GivesBackWhatWasPacked) {
  const std::string bytes = to_archive(kFiles);
  EXPECT_EQ(from_archive(bytes, "x.moec"), kFiles);
  EXPECT_EQ(to_archive(kFiles), bytes);
  // data/empty: a header. expert.toml: a header and a block. libx.so: a header and two. Two at the
  // end.
  EXPECT_EQ(bytes.size(), 512U * (1 + 2 + 3 + 2));
}

// A library that wrote other bytes would make every archive of before unreadable.
TEST(Archive, ItsBytesAreThoseOfThisFormat) {
  EXPECT_EQ(sha256_hex(to_archive(kFiles)),
            "8269411a9bfdd548a59ea37d89906ec2d4454aeedf1667021bca1cdf652e88d7");
}

TEST(Archive, AnyFlippedByteIsRefusedOrSeenInTheContents) {
  const std::string good = to_archive(kFiles);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    Files files;
    const std::string code = code_of([&] { files = from_archive(bad, "x.moec"); });
    EXPECT_TRUE(code == "E_PLUG_ARCHIVE" || (code == "none" && files != kFiles))
        << "byte " << at << ": " << code;
  }
}

TEST(Archive, RefusesWhatPackDoesNotWrite) {
  const std::string good = to_archive(kFiles);
  for (const std::string& bad :
       {std::string(), std::string("text"), good.substr(0, 700), good + std::string(512, '\0'),
        good.substr(0, good.size() - 512), "\x1f\x8b" + good}) {
    EXPECT_EQ(code_of([&] { from_archive(bad, "x.moec"); }), "E_PLUG_ARCHIVE") << bad.size();
  }
  for (const char* path : {"../x", "/x", "a//b", "a/../b", "./a", ""})
    EXPECT_EQ(code_of([&] { to_archive({{path, "x"}}); }), "E_PLUG_PATH") << path;
}

TEST(Archive, SurvivesDamage) {
  const std::string good = to_archive(kFiles);
  std::mt19937 draw(2);
  for (int i = 0; i < 2000; ++i) {
    std::string bad = good;
    if (i % 5 == 0) bad.resize(draw() % bad.size());
    for (int flips = 0; flips < 8 && !bad.empty(); ++flips)
      bad[draw() % bad.size()] = static_cast<char>(draw());
    Files files;
    const std::string code = code_of([&] { files = from_archive(bad, "x.moec"); });
    EXPECT_TRUE(code == "E_PLUG_ARCHIVE" || (code == "none" && to_archive(files) == bad)) << code;
  }
}

}  // namespace
}  // namespace moecollab::registry
