#include "data/format.h"

#include "unit/data/data_files.h"

namespace moecollab::data {
namespace {

TEST(Format, IsParsedByName) {
  EXPECT_EQ(parse_format("auto"), Format::kAuto);
  EXPECT_EQ(parse_format("jsonl"), Format::kJsonl);
  EXPECT_EQ(parse_format("csv"), Format::kCsv);
  EXPECT_EQ(parse_format("tsv"), Format::kTsv);
  EXPECT_EQ(parse_format("lines"), Format::kLines);
}

TEST(Format, UnknownNameGetsTheNearest) {
  expect_refused([] { parse_format("jsnl"); }, "E_CONFIG", "did you mean `jsonl`?");
  expect_refused([] { parse_format(""); }, "E_CONFIG", "is no format");
  expect_refused([] { parse_format("JSONL"); }, "E_CONFIG", "`JSONL`");
}

TEST(Format, FollowsTheExtension) {
  EXPECT_EQ(format_of("a/b.jsonl"), Format::kJsonl);
  EXPECT_EQ(format_of("b.ndjson"), Format::kJsonl);
  EXPECT_EQ(format_of("b.CSV"), Format::kCsv);
  EXPECT_EQ(format_of("b.tsv"), Format::kTsv);
  EXPECT_EQ(format_of("b.txt"), Format::kLines);
  EXPECT_EQ(format_of("/dev/fd/5"), Format::kAuto);
}

TEST(Format, UnknownExtensionIsRefused) {
  expect_refused([] { format_of("table.xlsx"); }, "E_DATA", "`.xlsx` stands for no format");
}

}  // namespace
}  // namespace moecollab::data
