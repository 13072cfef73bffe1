// The tests of test_torch; with --stage=NAME those of the folder of that name alone.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace {

// A filter that names every test of the folder's files; empty if there is none.
std::string tests_of(std::string_view stage) {
  const ::testing::UnitTest& all = *::testing::UnitTest::GetInstance();
  const std::string folder = fmt::format("torch/{}/", stage);
  std::string names;
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const ::testing::TestSuite& suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const ::testing::TestInfo& test = *suite.GetTestInfo(t);
      if (std::string_view(test.file()).find(folder) != std::string_view::npos)
        names += fmt::format("{}{}.{}", names.empty() ? "" : ":", suite.name(), test.name());
    }
  }
  return names;
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  constexpr std::string_view kOption = "--stage=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with(kOption)) {
      fmt::print(stderr, "{} is no option of this program\n", argument);
      return 2;
    }
    const std::string names = tests_of(argument.substr(kOption.size()));
    if (names.empty()) {
      fmt::print(stderr, "no test is of a stage {}\n", argument.substr(kOption.size()));
      return 2;
    }
    ::testing::GTEST_FLAG(filter) = names;
  }
  return RUN_ALL_TESTS();
}
