#include <fmt/format.h>

#include "base/digest.h"
#include "data/dataset.h"
#include "data/lines.h"
#include "unit/data/data_files.h"

namespace moecollab::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Jsonl : public DataFiles {
 protected:
  Dataset read(std::string_view bytes) const {
    return read_dataset("emotion", write("train.jsonl", bytes));
  }
  // A file whose second line is `line` is refused there with `part` of a message.
  void expect_bad_line(std::string_view line, const std::string& part) const {
    const std::string good = R"({"text": "fine", "label": "joy"})";
    const Error error = refusal_of([&] { read(fmt::format("{0}\n{1}\n{0}\n", good, line)); });
    EXPECT_EQ(error.code(), "E_DATA");
    EXPECT_THAT(error.what(), HasSubstr("train.jsonl:2: "));
    EXPECT_THAT(error.what(), HasSubstr(part));
    EXPECT_NE(error.hint(), "") << "no way on for: " << error.what();
  }
  std::string example(std::string_view text) const {
    return fmt::format("{{\"text\": \"{}\", \"label\": \"joy\"}}", text);
  }
  std::string only_text(std::string_view bytes) const { return read(bytes).examples.at(0).text; }
};

TEST_F(Jsonl, KeepsOrderLinesAndOtherKeysOut) {
  const Dataset data = read(
      "{\"text\": \"so glad\", \"label\": \"joy\", \"id\": 7, \"more\": [1, {\"a\": null}]}\n"
      "{\"label\": \"anger\", \"text\": \"no\\nway\"}");
  EXPECT_EQ(data.domain, "emotion");
  EXPECT_EQ(data.file, folder() / "train.jsonl");
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[0].text, "so glad");
  EXPECT_EQ(data.examples[0].label, "joy");
  EXPECT_EQ(data.examples[0].line, 1);
  EXPECT_EQ(data.examples[1].text, "no\nway");
  EXPECT_EQ(data.examples[1].label, "anger");
  EXPECT_EQ(data.examples[1].line, 2);
}

TEST_F(Jsonl, AcceptsCarriageReturnLineFeed) {
  const Dataset data = read(example("a") + "\r\n" + example("b") + "\r\n");
  EXPECT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[1].text, "b");
}

TEST_F(Jsonl, R42_AcceptsEmojiRightToLeftZeroWidthAndEscapes) {
  EXPECT_EQ(only_text(example("🎉 שלום \u200B")), "🎉 שלום \u200B");
  EXPECT_EQ(only_text(example("\u200D")), "\u200D");
  EXPECT_EQ(only_text(example("\\ud83c\\udf89")), "🎉");
  EXPECT_EQ(only_text(example("a\\u0000b")), std::string("a\0b", 3));
}

TEST_F(Jsonl, AcceptsATextOfAMebibyte) {
  const std::string text(size_t{1} << 20, 'x');
  EXPECT_EQ(only_text(example(text)), text);
}

TEST_F(Jsonl, AcceptsALineOfExactlyTheLimit) {
  const std::string line = example("");
  const std::string text(kMaxLine - line.size(), 'x');
  EXPECT_EQ(only_text(example(text) + "\r\n").size(), text.size());
  EXPECT_EQ(only_text(example(text)).size(), text.size());
}

TEST_F(Jsonl, R41_LineAboveTheLimit) {
  const std::string text(kMaxLine - example("").size() + 1, 'x');
  expect_bad_line(example(text), "longer than 16 MiB");
  expect_bad_line(std::string(kMaxLine * 2, '['), "longer than 16 MiB");
  expect_refused([&] { read(example(text)); }, "E_DATA", "train.jsonl:1: the line is longer");
}

TEST_F(Jsonl, R41_BadLine) {
  expect_bad_line("{\"text\": \"cut", "not JSON");
  expect_bad_line("I love it", "not JSON");
  expect_bad_line("{\"text\": \"a\", \"label\": \"b\"} x", "not JSON");
  expect_bad_line("{\"text\": \"a\", \"label\": \"b\"}{}", "not JSON");
  expect_bad_line("{\"text\": \"a\", \"label\": \"b\", \"p\": 1e999}", "not JSON");
}

TEST_F(Jsonl, BlankLinesAreNoRecords) {
  const Dataset data = read("\n" + example("a") + "\n  \t\n" + example("b") + "\n\n");
  ASSERT_EQ(data.examples.size(), 2u);
  EXPECT_EQ(data.examples[1].line, 4);
}

TEST_F(Jsonl, CarriageReturnAloneEndsALine) {
  EXPECT_EQ(read(example("a") + "\r" + example("b") + "\r").examples.at(1).line, 2);
}

TEST_F(Jsonl, RefusalSaysHowManyRecordsFollow) {
  expect_refused([&] { read("{}\n" + example("a") + "\nbad\n"); }, "E_DATA",
                 "train.jsonl:1: key `text` is missing; the keys are `` (2 records follow it)");
}

TEST_F(Jsonl, R41_NotAnObject) {
  expect_bad_line("[\"a\", \"joy\"]", "it is [\"a\",\"joy\"], an object is needed");
  expect_bad_line("\"a\"", "it is a string");
  expect_bad_line("null", "it is null");
}

TEST_F(Jsonl, R41_DuplicateKey) {
  expect_bad_line(R"({"text": "a", "label": "x", "label": "y"})", "key \"label\" stands twice");
  expect_bad_line(R"({"text": "a", "label": "x", "o": {"k": 1, "k": 1}})", "stands twice");
}

TEST_F(Jsonl, R41_ValuesThatAreNoLabelOrNoText) {
  expect_bad_line(R"({"text": "a", "label": 3.5})", "`label` is 3.5, a label is text");
  expect_bad_line(R"({"text": "a", "label": null})", "`label` is null");
  expect_bad_line(R"({"text": "a", "label": {"x": 1}})", "`label` is {\"x\":1}, a label is text");
  expect_bad_line(R"({"text": ["a"], "label": "x"})", "`text` is [\"a\"], a string is needed");
}

TEST_F(Jsonl, MissingKeyNamesTheNearest) {
  expect_bad_line(R"({"text": "a"})", "key `label` is missing");
  expect_bad_line(R"({"txt": "a", "label": "x"})", "`text` is missing; did you mean `txt`?");
}

TEST_F(Jsonl, R41_DepthBomb) {
  const auto nested = [](int depth) {
    return fmt::format(R"({{"text": "a", "label": "x", "o": {}1{}}})", std::string(depth - 1, '['),
                       std::string(depth - 1, ']'));
  };
  expect_bad_line(nested(33), "deeper than 32");
  expect_bad_line(std::string(1000000, '['), "deeper than 32");
  EXPECT_EQ(only_text(nested(32)), "a");
}

TEST_F(Jsonl, R41_LoneSurrogateIsReplaced) {
  EXPECT_EQ(only_text(example("a\\ud83c")), "a\uFFFD");
  EXPECT_EQ(only_text(example("\\udf89a")), "\uFFFDa");
  EXPECT_EQ(only_text(example("\\\\ud83c")), "\\ud83c");  // an escaped backslash is none
  EXPECT_EQ(only_text(example("\\uDBFF\\uD83C\\uDF89")), "\uFFFD🎉");
  expect_bad_line(example("\xED\xA0\xBC"), "not UTF-8");
}

TEST_F(Jsonl, NumbersBeyond64BitsAreRead) {
  EXPECT_EQ(only_text(R"({"id": 123456789012345678901234567890, "text": "a", "label": "x"})"), "a");
}

TEST_F(Jsonl, R42_EmptyText) {
  expect_bad_line(example(""), "`text` is empty");
  expect_bad_line(example(" \\t\\n"), "`text` holds nothing but white space");
  expect_bad_line(example("\u00A0\u3000\u2003"), "`text` holds nothing but white space");
  expect_bad_line(R"({"text": "a", "label": ""})", "`label` is empty");
  expect_bad_line(R"({"text": "a", "label": " "})", "`label` holds nothing but white space");
}

TEST_F(Jsonl, R42_InvalidUtf8) { expect_bad_line(example("caf\xE9"), "not UTF-8 (byte 14: 0xe9)"); }

TEST_F(Jsonl, NulIsRefusedAndHidesNothing) {
  const std::string nul(1, '\0');
  expect_bad_line(example("a") + nul, "NUL byte");
  expect_bad_line(example("a") + nul + "rest", "NUL byte");
  expect_bad_line(example("a" + nul), "NUL byte");
}

TEST_F(Jsonl, ByteOrderMark) {
  EXPECT_EQ(only_text("\xEF\xBB\xBF" + example("a")), "a");
  expect_bad_line("\xEF\xBB\xBF" + example("a"), "byte order mark");
}

TEST_F(Jsonl, NoExamples) {
  expect_refused([&] { read(""); }, "E_DATA", "holds no examples");
}

TEST_F(Jsonl, FileThatCannotBeRead) {
  const auto read_path = [](const fs::path& path) { return [path] { read_dataset("d", path); }; };
  expect_refused(read_path(folder() / "none.jsonl"), "E_DATA",
                 "none.jsonl cannot be read: No such file or directory");
  fs::create_directory(folder() / "folder.jsonl");
  expect_refused(read_path(folder() / "folder.jsonl"), "E_DATA", "Is a directory");
}

TEST_F(Jsonl, FormatThatCannotHoldLabelsOrCannotBeTold) {
  const auto read_as = [&](const char* name, Format format) {
    const fs::path path = write(name, example("a"));
    return [path, format] { read_dataset("d", path, {.format = format}); };
  };
  expect_refused([&] { read_dataset("d", write("a.txt", "prose\n")); }, "E_DATA",
                 "plain lines carry no labels");
  expect_refused(read_as("a.jsonl", Format::kLines), "E_DATA", "plain lines carry no labels");
  expect_refused([&] { read_dataset("d", write("a.md", "prose\n")); }, "E_DATA",
                 "its extension stands for no format");
  for (const char* name : {"a", "a.txt", "a.csv", "a.data"})
    EXPECT_NO_THROW(read_as(name, Format::kAuto)()) << name;
}

TEST_F(Jsonl, DigestIsOfTheBytesRead) {
  const std::string bytes = example("a") + "\r\n";
  EXPECT_EQ(read(bytes).sha256, sha256_hex(bytes));
}

TEST_F(Jsonl, R43_ChangeAfterReading) {
  const Dataset data = read(example("a") + "\n");
  EXPECT_NO_THROW(require_unchanged(data));
  write("train.jsonl", example("b") + "\n");
  const Error error = refusal_of([&] { require_unchanged(data); });
  EXPECT_EQ(error.code(), "E_DATA_CHANGED");
  EXPECT_THAT(error.what(), HasSubstr(data.sha256));
  EXPECT_THAT(error.what(), HasSubstr(sha256_hex(example("b") + "\n")));
  fs::remove(data.file);
  expect_refused([&] { require_unchanged(data); }, "E_DATA_CHANGED", "No such file");
}

TEST_F(Jsonl, LabelsAreSortedAndUnique) {
  const Dataset data = read(R"({"text": "1", "label": "joy"}
{"text": "2", "label": "Joy"}
{"text": "3", "label": "anger"}
{"text": "4", "label": "joy"})");
  EXPECT_THAT(labels_of(data), ElementsAre("Joy", "anger", "joy"));
}

}  // namespace
}  // namespace moecollab::data
