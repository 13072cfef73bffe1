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
  EXPECT_EQ(format_of("b.json"), Format::kJson);
  EXPECT_EQ(format_of("b.CSV"), Format::kCsv);
  EXPECT_EQ(format_of("b.tsv"), Format::kTsv);
  EXPECT_EQ(format_of("b.txt"), Format::kLines);
  EXPECT_EQ(format_of("/dev/fd/5"), Format::kAuto);
}

TEST(Format, FollowsTheExtensionBeforeThatOfThePacking) {
  EXPECT_EQ(format_of("b.csv.gz"), Format::kCsv);
  EXPECT_EQ(format_of("b.jsonl.ZST"), Format::kJsonl);
  EXPECT_EQ(format_of("b.gz"), Format::kAuto);
}

TEST(Format, UnknownExtensionIsNone) {
  EXPECT_EQ(format_of("table.xlsx"), std::nullopt);
  EXPECT_EQ(format_of("table.xlsx.gz"), std::nullopt);
}

TEST(Quoting, IsParsedByName) {
  EXPECT_EQ(parse_quoting("csv"), Quoting::kCsv);
  EXPECT_EQ(parse_quoting("none"), Quoting::kNone);
  expect_refused([] { parse_quoting("non"); }, "E_CONFIG",
                 "`non` is no quoting; did you mean `none`?");
}

}  // namespace
}  // namespace moecollab::data
