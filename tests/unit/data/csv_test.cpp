#include <fmt/format.h>

#include "data/dataset.h"
#include "data/lines.h"
#include "unit/data/data_files.h"

namespace moecollab::data {
namespace {

using testing::HasSubstr;

class Csv : public DataFiles {
 protected:
  Dataset read(std::string_view bytes, const std::string& name = "train.csv") const {
    return read_dataset("emotion", write(name, bytes));
  }
  void expect_bad(std::string_view bytes, const std::string& place, const std::string& part,
                  const std::string& name = "train.csv") const {
    const Error error = refusal_of([&] { read(bytes, name); });
    EXPECT_EQ(error.code(), "E_DATA");
    EXPECT_THAT(error.what(), HasSubstr(name + ":" + place + ": "));
    EXPECT_THAT(error.what(), HasSubstr(part));
    EXPECT_NE(error.hint(), "") << "no way on for: " << error.what();
  }
};

TEST_F(Csv, ReadsByHeader) {
  const Dataset data = read("id,label,text\n1,joy,so glad\n2,anger,\"no, never\"\n");
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[0].text, "so glad");
  EXPECT_EQ(data.examples[0].label, "joy");
  EXPECT_EQ(data.examples[0].line, 2);
  EXPECT_EQ(data.examples[1].text, "no, never");
  EXPECT_EQ(data.examples[1].line, 3);
}

TEST_F(Csv, ReadsTabs) {
  const Dataset data = read("text\tlabel\nwell, well\tjoy\n\"a\tb\"\tjoy", "train.tsv");
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[0].text, "well, well");
  EXPECT_EQ(data.examples[1].text, "a\tb");  // every quoted field ends on its line
}

TEST_F(Csv, KeepsWhiteSpaceOfAField) {
  EXPECT_EQ(read("text,label\n  a b\t,joy\n").examples[0].text, "  a b\t");
}

TEST_F(Csv, AcceptsCarriageReturnLineFeed) {
  const Dataset data = read("text,label\r\na,joy\r\n\"b\",\"joy\"\r\n");
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[0].label, "joy");
  EXPECT_EQ(data.examples[1].label, "joy");
  EXPECT_EQ(data.examples[1].line, 3);
}

TEST_F(Csv, R40_QuotedNewlineIsAccepted) {
  const Dataset data = read("text,label\n\"one\ntwo\r\nthree \"\"3\"\"\",joy\nlast,joy");
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[0].text, "one\ntwo\r\nthree \"3\"");
  EXPECT_EQ(data.examples[1].line, 5);
}

TEST_F(Csv, R40_RaggedRow) {
  expect_bad("text,label\na,joy\nb\n", "3:2", "the row has 1 columns, the header 2");
  expect_bad("text,label\na,joy,more\n", "2:3", "the row has 3 columns, the header 2");
}

TEST_F(Csv, BlankLinesAreNoRows) {
  const Dataset data = read("\r\ntext,label\r\n\r\na,joy\r\n \t\r\nb,joy\n\n");
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[0].line, 4);
  EXPECT_EQ(data.examples[1].line, 6);
}

TEST_F(Csv, R40_UnterminatedQuote) {
  expect_bad("text,label\na,joy\n\"b,joy\nc,joy\n", "3:1",
             "ends inside a quoted field (1 records follow it)");
  expect_bad("text,label\na,\"joy", "2:2", "ends inside a quoted field");
}

TEST_F(Csv, QuoteInsideAFieldIsACharacter) {
  EXPECT_EQ(read("text,label\nsay \"hi\",joy\n").examples[0].text, "say \"hi\"");
}

TEST_F(Csv, TextAfterAClosingQuote) {
  expect_bad("text,label\n\"a\"b,joy\nc,joy\nd,joy\n", "2:1",
             "text stands after a closing double quote (2 records follow it)");
}

TEST_F(Csv, R40_EmbeddedNul) {
  expect_bad(std::string_view("text,label\na\0b,joy\n", 19), "2:1", "NUL byte (byte 2)");
  expect_bad(std::string_view("text,label\nab,j\0y\n", 18), "2:2", "NUL byte");
}

TEST_F(Csv, R40_WrongDelimiter) {
  expect_bad("text;label\na;joy\n", "1", "the columns are separated by `;`");
  EXPECT_EQ(read("text\tlabel\na, b\tjoy\n").examples[0].text, "a, b");
  EXPECT_EQ(read("text,label\na\t b,joy\n", "train.tsv").examples[0].text, "a\t b");
  expect_bad("text label\na joy\n", "1:2",
             "the only column seen (wrong delimiter?) is `text label`");
}

TEST_F(Csv, R40_ByteOrderMark) {
  EXPECT_EQ(read("\xEF\xBB\xBFtext,label\na,joy\n").examples.size(), 1u);
  EXPECT_EQ(read("\xEF\xBB\xBF\"text\",label\na,joy\n").examples.size(), 1u);
}

TEST_F(Csv, R40_MissingColumn) {
  expect_bad("text,lable\na,joy\n", "1:3",
             "column `label` is missing; did you mean `lable`?; the columns are `text`, `lable`");
  expect_bad("words,label,x\na,joy,1\n", "1:4", "column `text` is missing");
}

TEST_F(Csv, R40_NoHeader) {
  expect_bad("so glad,joy\nno way,anger\n", "1:3", "the columns are `so glad`, `joy`");
}

TEST_F(Csv, ColumnThatStandsTwice) {
  expect_bad("text,label,text\na,joy,b\n", "1:3", "`text` stands twice, as 1 and 3");
}

TEST_F(Csv, CarriageReturnAloneEndsARow) {
  const Dataset data = read("text,label\ra,joy\r\rb,joy");
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[1].line, 4);
}

TEST_F(Csv, R42_EmptyTextAndLabel) {
  const auto expect_field = [&](std::string_view bytes, const std::string& place,
                                const std::string& part) {
    expect_refused([&] { read(bytes); }, "E_DATA", "train.csv:" + place + ": " + part);
  };
  expect_field("text,label\n,joy\n", "2:1", "column 1 (`text`) is empty");
  expect_field("text,label\n\"\",joy\n", "2:1", "column 1 (`text`) is empty");
  expect_field("text,label\n \u3000,joy\n", "2:1", "column 1 (`text`) holds nothing but white");
  expect_field("text,label\na,\n", "2:2", "column 2 (`label`) is empty");
}

TEST_F(Csv, R42_InvalidUtf8) {
  expect_bad("text,label\ncaf\xE9,joy\n", "2:1", "column 1 (`text`) is not UTF-8 (byte 4: 0xe9)");
}

TEST_F(Csv, NoExamples) {
  expect_refused([&] { read(""); }, "E_DATA", "train.csv:1: the file holds no examples");
  expect_refused([&] { read("text,label\n"); }, "E_DATA", "the file holds no examples");
}

TEST_F(Csv, AcceptsATextOfAMebibyte) {
  const std::string text(size_t{1} << 20, 'x');
  EXPECT_EQ(read("text,label\n" + text + ",joy\n").examples[0].text, text);
  EXPECT_EQ(read("text,label\n\"" + text + "\",joy\n").examples[0].text, text);
}

TEST_F(Csv, RowAboveTheLimit) {
  const std::string text(kMaxLine + 2, 'x');
  expect_bad("text,label\n" + text + ",joy\n", "2:1", "longer than 16 MiB");
  expect_bad("text,label\n\"" + text + text, "2:1", "longer than 16 MiB");
  const std::string half(kMaxLine / 2, 'x');
  expect_bad("text,label,x\n" + half + "," + half + ",c", "2:2", "longer than 16 MiB");
  const std::string fits(kMaxLine - 4, 'x');
  EXPECT_EQ(read("text,label\n" + fits + ",joy\r\n").examples[0].text.size(), fits.size());
}

TEST_F(Csv, TooManyColumns) {
  expect_bad("text,label" + std::string(5000, ','), "1:4097", "more than 4096 columns");
}

}  // namespace
}  // namespace moecollab::data
