#include "base/finished_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab {
namespace {

FinishedLines opened(const fs::path& file, const std::string& digest, Log log = {}) {
  return {file,
          digest,
          [](const Json& line) { return line.at("name").get<std::string>(); },
          {"step", "remove the file"},
          log};
}

struct FinishedLinesTest : ::testing::Test {
  TemporaryFolder folder;
  fs::path file = folder.path() / "steps.jsonl";
};

TEST_F(FinishedLinesTest, AreThereForTheSameRunAlone) {
  opened(file, "one").add({{"name", "a"}, {"value", 3}});
  FinishedLines again = opened(file, "one");
  ASSERT_TRUE(again.contains("a"));
  EXPECT_FALSE(again.contains("b"));
  EXPECT_EQ(again.at("a"), (Json{{"name", "a"}, {"value", 3}})) << "without the digest";
  again.add({{"name", "b"}, {"value", 4}});
  EXPECT_TRUE(opened(file, "one").contains("a"));
  EXPECT_TRUE(opened(file, "one").contains("b"));
  CollectingLog log{Log()};
  EXPECT_FALSE(opened(file, "two", log.log()).contains("a"));
  ASSERT_EQ(log.texts().size(), 1U);
  EXPECT_THAT(log.texts()[0],
              ::testing::HasSubstr("2 steps are of other data, experts or options; the first"));
}

// Every truncation and every changed byte: refused with the way on, or read as other lines.
TEST_F(FinishedLinesTest, ADamagedFileIsRefusedOrOfAnotherRun) {
  opened(file, "one").add({{"name", "a"}, {"value", 3}});
  const std::string whole = read_file(file, "E_TEST");
  int refused = 0;
  const auto reads = [&](const std::string& bytes) {
    write_file_atomic(file, bytes);
    try {
      opened(file, "one");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_CKPT");
      EXPECT_EQ(error.hint(), "remove the file");
      ++refused;
    }
  };
  for (size_t size = 0; size < whole.size(); ++size) reads(whole.substr(0, size));
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x5a);
    reads(damaged);
  }
  EXPECT_GT(refused, static_cast<int>(whole.size()));
}

}  // namespace
}  // namespace moecollab
