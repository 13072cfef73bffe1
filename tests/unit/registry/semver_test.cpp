#include "registry/semver.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace moecollab::registry {
namespace {

bool accepts(const char* range, const char* version) {
  return VersionRange::parse(range).contains(Version::parse(version));
}

TEST(Semver, OrdersAsItem11OfTheStandard) {
  const char* const ascending[] = {"0.0.1",       "0.9.0",         "0.10.0",
                                   "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                   "1.0.0-beta",  "1.0.0-beta.2",  "1.0.0-beta.11",
                                   "1.0.0-rc.1",  "1.0.0",         "1.0.1",
                                   "2.0.0"};
  for (size_t i = 0; i + 1 < std::size(ascending); ++i) {
    EXPECT_LT(Version::parse(ascending[i]), Version::parse(ascending[i + 1])) << ascending[i];
    EXPECT_EQ(Version::parse(ascending[i]).text(), ascending[i]);
  }
  EXPECT_EQ(Version::parse("1.2.3") <=> Version::parse("1.2.3"), std::strong_ordering::equal);
}

TEST(Semver, RefusesWhatIsNoVersion) {
  for (const char* text :
       {"", "1", "1.2", "1.2.3.4", "v1.2.3", "1.02.3", "1.2.3-", "1.2.3-a..b", "1.2.3-01",
        "1.2.3-ä", "1.2.3+build", "-1.2.3", "1.2. 3", "1.2.99999999999999999999"}) {
    EXPECT_THROW(Version::parse(text), std::invalid_argument) << text;
  }
  EXPECT_EQ(Version::parse("1.2.18446744073709551615").patch, UINT64_MAX);
}

TEST(Semver, ShortVersionsMayOmitTheLastNumber) {
  EXPECT_EQ(Version::parse_short("0.9").text(), "0.9.0");
  EXPECT_EQ(Version::parse_short("0.9.4").text(), "0.9.4");
  EXPECT_THROW(Version::parse_short("9"), std::invalid_argument);
}

TEST(VersionRange, CaretKeepsTheLeftmostNonZeroNumber) {
  EXPECT_TRUE(accepts("^1.2", "1.2.0"));
  EXPECT_TRUE(accepts("^1.2", "1.9.9"));
  EXPECT_FALSE(accepts("^1.2", "1.1.9"));
  EXPECT_FALSE(accepts("^1.2", "2.0.0"));
  EXPECT_TRUE(accepts("^0.3", "0.3.7"));
  EXPECT_FALSE(accepts("^0.3", "0.4.0"));
  EXPECT_TRUE(accepts("^0.0.3", "0.0.3"));
  EXPECT_FALSE(accepts("^0.0.3", "0.0.4"));
  EXPECT_TRUE(accepts("^0", "0.7.1"));
  EXPECT_FALSE(accepts("^0", "1.0.0"));
  EXPECT_TRUE(accepts("^0.0", "0.0.9"));
  EXPECT_FALSE(accepts("^0.0", "0.1.0"));
}

TEST(VersionRange, TildeKeepsTheMinor) {
  EXPECT_TRUE(accepts("~1.2", "1.2.9"));
  EXPECT_FALSE(accepts("~1.2", "1.3.0"));
  EXPECT_TRUE(accepts("~1.2.3", "1.2.3"));
  EXPECT_FALSE(accepts("~1.2.3", "1.2.2"));
  EXPECT_TRUE(accepts("~1", "1.9.0"));
  EXPECT_FALSE(accepts("~1", "2.0.0"));
}

TEST(VersionRange, ExactAtLeastAndAny) {
  for (const char* range : {"=1.2.3", "1.2.3"}) {
    EXPECT_TRUE(accepts(range, "1.2.3"));
    EXPECT_FALSE(accepts(range, "1.2.4"));
  }
  EXPECT_TRUE(accepts(">=1.0", "7.0.0"));
  EXPECT_FALSE(accepts(">=1.0", "0.9.9"));
  EXPECT_TRUE(accepts("*", "0.0.1"));
  EXPECT_TRUE(VersionRange().contains(Version::parse("3.2.1")));
}

TEST(VersionRange, TakesAPrereleaseOnlyIfItNamesOneOfThatRelease) {
  EXPECT_FALSE(accepts("*", "1.0.0-rc.1"));
  EXPECT_FALSE(accepts("^1.2", "1.3.0-rc.1"));
  EXPECT_FALSE(accepts("^1.2", "2.0.0-alpha"));
  EXPECT_TRUE(accepts("^1.2.0-rc.1", "1.2.0-rc.2"));
  EXPECT_FALSE(accepts("^1.2.0-rc.1", "1.2.0-beta"));
  EXPECT_FALSE(accepts("^1.2.0-rc.1", "1.3.0-rc.2"));
  EXPECT_TRUE(accepts("^1.2.0-rc.1", "1.2.0"));
  EXPECT_TRUE(accepts("=1.2.0-rc.1", "1.2.0-rc.1"));
}

TEST(VersionRange, RefusalsSayWhatWouldBeRight) {
  for (const char* text :
       {"", "1.2", "=1", "^", "> 1.0", ">1.0", "^1.x", "^1.2, <3", "^^1", "**"}) {
    EXPECT_THROW(VersionRange::parse(text), std::invalid_argument) << text;
  }
  try {
    VersionRange::parse("1.2");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("write ^1.2"), std::string::npos) << error.what();
  }
  EXPECT_EQ(VersionRange::parse("~1.2").text(), "~1.2");
}

}  // namespace
}  // namespace moecollab::registry
