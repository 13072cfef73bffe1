#include "data/text_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "data/lines.h"
#include "unit/data/data_files.h"
#include "unit/data/stdin_pipe.h"

namespace moecollab::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A record as "line id text", a refusal as "line! message".
std::string shown(const TextItem& item) {
  if (const auto* bad = std::get_if<BadRecord>(&item)) {
    EXPECT_EQ(bad->code, "E_DATA");
    return fmt::format("{}! {}", bad->line, bad->message);
  }
  const auto& record = std::get<TextRecord>(item);
  return fmt::format("{} {} {}", record.line, record.id.empty() ? "null" : record.id, record.text);
}

std::vector<std::string> all(TextSource& source) {
  std::vector<std::string> items;
  while (const auto item = source.next()) items.push_back(shown(*item));
  EXPECT_FALSE(source.next().has_value()) << "the end is not the end";
  return items;
}

class TextSourceTest : public DataFiles {
 protected:
  std::vector<std::string> read(const std::string& name, std::string_view bytes,
                                Format format = Format::kAuto) const {
    TextSource source({write(name, bytes)}, {.format = format});
    return all(source);
  }
};

TEST_F(TextSourceTest, JsonlWithIds) {
  EXPECT_THAT(read("a.jsonl",
                   "{\"id\": \"q1\", \"text\": \"one\", \"label\": 3}\n"
                   "{\"text\": \"two\"}\r\n"
                   "{\"id\": 17, \"text\": \"three\"}"),
              ElementsAre("1 \"q1\" one", "2 null two", "3 17 three"));
}

TEST_F(TextSourceTest, IdsKeepTheirBytes) {
  EXPECT_THAT(read("a.jsonl",
                   "{\"id\": 123456789012345678901234567890, \"text\": \"big\"}\n"
                   "{\"id\": 1.50, \"text\": \"fraction\"}\n"
                   "{\"id\": \"\\u00e9\" , \"text\": \"escape\"}\n"
                   "{\"id\": {\"a\": [1, 2]}, \"text\": \"object\"}\n"
                   "{\"id\": null, \"text\": \"none\"}\n"),
              ElementsAre("1 123456789012345678901234567890 big", "2 1.50 fraction",
                          "3 \"\\u00e9\" escape", "4 {\"a\": [1, 2]} object", "5 null none"));
}

TEST_F(TextSourceTest, PlainLines) {
  EXPECT_THAT(read("a.txt", "one\r\n{two}\n three"),
              ElementsAre("1 null one", "2 null {two}", "3 null  three"));
  EXPECT_THAT(read("a.txt", "{\"text\": \"two\"}\n", Format::kLines),
              ElementsAre("1 null {\"text\": \"two\"}"));
}

TEST_F(TextSourceTest, JsonAmongPlainLinesIsNotAnsweredAsProse) {
  const auto items = read("a.txt", "one\n{\"text\": \"two\"}\nthree\n[1] see below\n");
  ASSERT_EQ(items.size(), 4u);
  EXPECT_THAT(items[1], HasSubstr("a.txt:2: the line is JSON"));
  EXPECT_EQ(items[3], "4 null [1] see below");
}

TEST_F(TextSourceTest, CsvAndTsv) {
  EXPECT_THAT(read("a.csv", "id,text\nq1,\"one\ntwo\"\nq2,three"),
              ElementsAre("2 \"q1\" one\ntwo", "4 \"q2\" three"));
  EXPECT_THAT(read("a.tsv", "text\none, two\n"), ElementsAre("2 null one, two"));
  EXPECT_THAT(read("a.dat", "text,label\none,\n", Format::kCsv), ElementsAre("2 null one"));
}

TEST_F(TextSourceTest, NameWithoutExtensionGoesByTheContent) {
  EXPECT_THAT(read("a", "{\"text\": \"one\"}\n"), ElementsAre("1 null one"));
  EXPECT_THAT(read("a", "one\ntwo\n"), ElementsAre("1 null one", "2 null two"));
  EXPECT_THAT(read("a", "id,text\n7,one\n"), ElementsAre("2 \"7\" one"));
}

TEST_F(TextSourceTest, EmptyFilesHaveNoRecords) {
  EXPECT_TRUE(read("a.jsonl", "").empty());
  EXPECT_TRUE(read("a.csv", "").empty());
  EXPECT_TRUE(read("a.csv", "text,label\n").empty());
}

TEST_F(TextSourceTest, LinesCountFromOneInEveryFile) {
  TextSource source({write("a.txt", "one\ntwo"), write("none.txt", ""),
                     write("b.jsonl", "{\"text\": \"three\"}\n")});
  EXPECT_THAT(all(source), ElementsAre("1 null one", "2 null two", "1 null three"));
}

TEST_F(TextSourceTest, R41_BadRecordsAreReturnedAndTheRestGoesOn) {
  const auto items = read("a.jsonl",
                          "{\"text\": \"one\"}\n"
                          "[1]\n"
                          "\n"
                          "{\"text\": \"half \\ud800\"}\n"
                          "{\"text\": \"a\", \"text\": \"b\"}\n"
                          "{\"text\": 3}\n"
                          "{\"label\": \"x\"}\n"
                          "{\"text\": \"\"}\n"
                          "{\"text\": \"caf\xE9\"}\n"
                          "{\"text\": \"cut\n"
                          "{\"text\": \"last\"}\n");
  ASSERT_EQ(items.size(), 10u);
  EXPECT_EQ(items[0], "1 null one");
  EXPECT_THAT(items[1],
              testing::AllOf(HasSubstr("2! "), HasSubstr("a.jsonl:2: it is [1], an object")));
  EXPECT_EQ(items[2], "4 null half \uFFFD");
  EXPECT_THAT(items[3], HasSubstr("stands twice"));
  EXPECT_THAT(items[4], HasSubstr("`text` is 3, a string is needed"));
  EXPECT_THAT(items[5], HasSubstr("`text` is missing"));
  EXPECT_THAT(items[6], HasSubstr("`text` is empty"));
  EXPECT_THAT(items[7], HasSubstr("not UTF-8"));
  EXPECT_THAT(items[8], testing::AllOf(HasSubstr("10! "), HasSubstr("not JSON")));
  EXPECT_EQ(items[9], "11 null last");
}

TEST_F(TextSourceTest, R42_BadPlainLines) {
  const auto items = read("a.txt", std::string_view("\xEF\xBB\xBFone\n \na\0b\n\xFF\nlast", 19));
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[0], "1 null one");
  EXPECT_THAT(items[1], HasSubstr("nothing but white space"));
  EXPECT_THAT(items[2], HasSubstr("NUL"));
  EXPECT_THAT(items[3], HasSubstr("not UTF-8"));
  EXPECT_EQ(items[4], "5 null last");
}

TEST_F(TextSourceTest, ByteOrderMarkDoesNotTurnJsonlIntoPlainText) {
  EXPECT_THAT(read("a", "\xEF\xBB\xBF{\"text\": \"one\"}\n{\"text\": \"two\"}\n"),
              ElementsAre("1 null one", "2 null two"));
}

TEST_F(TextSourceTest, OverlongLineIsSkipped) {
  const std::string longest(kMaxLine, 'x');
  const auto items = read("a.jsonl", "{" + longest + "\n{\"text\": \"two\"}\n");
  ASSERT_EQ(items.size(), 2u);
  EXPECT_THAT(items[0], testing::AllOf(HasSubstr("1! "), HasSubstr("longer than 16 MiB")));
  EXPECT_EQ(items[1], "2 null two");
  EXPECT_EQ(read("a.txt", longest + "\nnext").at(1), "2 null next");
}

TEST_F(TextSourceTest, R40_BadRows) {
  const auto items = read("a.csv", "text,id\none,1\nragged\n\n,3\nlast,4\n");
  ASSERT_EQ(items.size(), 4u);
  EXPECT_THAT(items[1], HasSubstr("a.csv:3:2: the row has 1 columns, the header 2"));
  EXPECT_THAT(items[2], HasSubstr("a.csv:5:1: column 1 (`text`) is empty"));
  EXPECT_EQ(items[3], "6 \"4\" last");
}

TEST_F(TextSourceTest, QuoteThatNeverClosesCostsItsLineOnly) {
  TextSource source({write("a.csv", "text\none\n\"two\nthree\n"), write("b.txt", "four")});
  const auto items = all(source);
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0], "2 null one");
  EXPECT_THAT(items[1], HasSubstr("a.csv:3:1: the file ends inside a quoted field"));
  EXPECT_EQ(items[2], "4 null three");
  EXPECT_EQ(items[3], "1 null four");
}

TEST_F(TextSourceTest, WrongHeaderIsThrownAndTheNextFileFollows) {
  TextSource source({write("a.csv", "sentences\none\n"), write("b.txt", "two")});
  expect_refused([&] { source.next(); }, "E_DATA", "a.csv:1:2: column `text` is missing");
  EXPECT_THAT(all(source), ElementsAre("1 null two"));
}

TEST_F(TextSourceTest, FileThatCannotBeReadIsRefusedBeforeAnythingIsRead) {
  const auto open = [&](const fs::path& path) {
    return [good = write("a.txt", "one"), path] { TextSource({good, path}); };
  };
  expect_refused(open(folder() / "none.txt"), "E_DATA", "none.txt cannot be read: No such file");
  expect_refused(open(folder()), "E_DATA", "it is a folder");
  expect_refused([] { TextSource({"-", "-"}); }, "E_CONFIG", "named twice");
}

TEST_F(TextSourceTest, FileThatVanishesIsRefusedWhenItsTurnComes) {
  TextSource source({write("a.txt", "one"), write("b.txt", "two")});
  fs::remove(folder() / "b.txt");
  EXPECT_EQ(shown(*source.next()), "1 null one");
  expect_refused([&] { source.next(); }, "E_DATA", "b.txt cannot be read: No such file");
}

TEST_F(TextSourceTest, LivePipeDeliversALineOnceItIsComplete) {
  StdinPipe pipe;
  TextSource source({"-"});
  EXPECT_FALSE(source.ready(0));
  pipe.write("{\"text\": \"o");
  EXPECT_FALSE(source.ready(1)) << "half a line is not a record";
  pipe.write("ne\"}\n{\"text\"");
  EXPECT_TRUE(source.ready(0));
  EXPECT_EQ(shown(*source.next()), "1 null one");  // would hang if it waited for more
  EXPECT_FALSE(source.ready(0));
  pipe.write(": \"two\"}\n{\"text\": \"three\"}\n{\"text\": \"four\"}");
  EXPECT_EQ(shown(*source.next()), "2 null two");
  EXPECT_TRUE(source.ready(0));
  EXPECT_EQ(shown(*source.next()), "3 null three");
  EXPECT_FALSE(source.ready(0)) << "the last line has no end yet";
  pipe.close();
  EXPECT_TRUE(source.ready(-1));
  EXPECT_EQ(shown(*source.next()), "4 null four");
  EXPECT_TRUE(source.ready(0)) << "the end is an answer too";
  EXPECT_FALSE(source.next().has_value());
}

TEST_F(TextSourceTest, StandardInputIsJudgedByItsFirstBytesThatAreNotBlank) {
  StdinPipe pipe;
  pipe.write("\n {\"text\": \"one\"}\n{\"text\": \"two\"}");
  pipe.close();
  TextSource source({});
  EXPECT_THAT(all(source), ElementsAre("2 null one", "3 null two"));
}

TEST_F(TextSourceTest, CsvRowsArriveOverALivePipe) {
  StdinPipe pipe;
  TextSource source({"-"}, {.format = Format::kCsv});
  pipe.write("text\n\"one\n");
  EXPECT_FALSE(source.ready(0));
  pipe.write("more\"\n");
  EXPECT_TRUE(source.ready(0));
  EXPECT_EQ(shown(*source.next()), "2 null one\nmore");
}

TEST_F(TextSourceTest, DamagedRowCostsALivePipeThatRow) {
  StdinPipe pipe;
  TextSource source({"-"}, {.format = Format::kCsv});
  pipe.write("text\n\"hi\"there\n");
  EXPECT_THAT(shown(*source.next()), HasSubstr("stdin:2:1: text stands after a closing"));
  EXPECT_FALSE(source.ready(0));
  pipe.write("next\n");
  EXPECT_EQ(shown(*source.next()), "3 null next");
}

TEST_F(TextSourceTest, NamesStandardInputInMessages) {
  StdinPipe pipe;
  pipe.write("{}\n");
  TextSource source({"-"});
  EXPECT_THAT(shown(*source.next()), HasSubstr("stdin:1: key `text` is missing"));
}

TEST_F(TextSourceTest, NonBlockingStandardInputIsWaitedFor) {
  StdinPipe pipe;
  ASSERT_EQ(::fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK), 0);
  TextSource source({"-"});
  EXPECT_FALSE(source.ready(0));
  pipe.write("one\n");
  EXPECT_EQ(shown(*source.next()), "1 null one");
}

// Neither opening it nor looking whether it has something waits for its writer.
TEST_F(TextSourceTest, NamedPipeIsOpenedBeforeItHasAWriter) {
  const fs::path path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  TextSource source({path, write("b.txt", "two")});
  EXPECT_FALSE(source.ready(1));
  const int writing = ::open(path.c_str(), O_WRONLY);
  EXPECT_FALSE(source.ready(0)) << "its writer has written nothing";
  EXPECT_EQ(::write(writing, "one\nmore", 8), 8);
  EXPECT_EQ(shown(*source.next()), "1 null one");
  EXPECT_FALSE(source.ready(0));
  ::close(writing);
  EXPECT_THAT(all(source), ElementsAre("2 null more", "1 null two"));
}

TEST_F(TextSourceTest, NamedPipeWithoutAWriterHasNotEnded) {
  const fs::path path = folder() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  TextSource source({path});
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    std::ofstream(path) << "one\n";
  });
  EXPECT_THAT(all(source), ElementsAre("1 null one"));
  writer.join();
}

TEST_F(TextSourceTest, ReadyOpensTheNextFile) {
  TextSource source({write("a.txt", "one\n"), write("b.txt", "two")});
  EXPECT_TRUE(source.ready(0));
  EXPECT_EQ(shown(*source.next()), "1 null one");
  EXPECT_TRUE(source.ready(0));
  EXPECT_EQ(shown(*source.next()), "1 null two");
}

}  // namespace
}  // namespace moecollab::data
