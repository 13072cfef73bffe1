#include "text/vocabulary.h"

#include <gmock/gmock.h>

#include "unit/text/support.h"

namespace moecollab::text {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kHead = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";

std::string refusal(const std::string& bytes) {
  const auto error = error_of([&] { Vocabulary::parse(bytes, "vocab.txt"); });
  if (!error) return "accepted";
  EXPECT_FALSE(error->hint().empty());
  return error->code() + " " + error->what();
}

TEST(Vocabulary, GivesEachLineItsIndex) {
  const Vocabulary vocabulary = Vocabulary::parse(kHead + "run\n##ning\n", "vocab.txt");
  EXPECT_EQ(vocabulary.size(), 6);
  EXPECT_EQ(vocabulary.find("run"), 4);
  EXPECT_EQ(vocabulary.find("##ning"), 5);
  EXPECT_EQ(vocabulary.first_piece("running").value, 4);
  EXPECT_EQ(vocabulary.first_piece("running").length, 3u);
  EXPECT_EQ(vocabulary.next_piece("ning").value, 5);
  EXPECT_EQ(vocabulary.find("ning"), Vocabulary::kAbsent);
  EXPECT_EQ(vocabulary.first_piece("ning").value, Vocabulary::kAbsent);
  EXPECT_EQ(vocabulary.next_piece("run").value, Vocabulary::kAbsent);
  EXPECT_EQ(vocabulary.token(5), "##ning");
  EXPECT_EQ(vocabulary.padding(), 0);
  EXPECT_EQ(vocabulary.unknown(), 1);
  EXPECT_EQ(vocabulary.classification(), 2);
  EXPECT_EQ(vocabulary.separator(), 3);
  EXPECT_THAT(vocabulary.warnings(), IsEmpty());
}

TEST(Vocabulary, TakesALastLineWithoutLineEnd) {
  EXPECT_EQ(Vocabulary::parse(kHead + "run", "vocab.txt").find("run"), 4);
}

TEST(Vocabulary, TrimsTrailingUnicodeSpaceOnly) {
  const Vocabulary vocabulary =
      Vocabulary::parse(kHead + " run \t\u3000\u0085\n\nb\n", "vocab.txt");
  EXPECT_EQ(vocabulary.token(4), " run");
  EXPECT_EQ(vocabulary.token(5), "");
  EXPECT_EQ(vocabulary.find("b"), 6);
}

TEST(Vocabulary, R39_DuplicateTokenIsAcceptedLaterIdWinsWithAWarning) {
  const Vocabulary vocabulary = Vocabulary::parse(kHead + "run\n##s\nrun\n##s\n", "vocab.txt");
  EXPECT_EQ(vocabulary.size(), 8);
  EXPECT_EQ(vocabulary.distinct(), 6);
  EXPECT_EQ(vocabulary.find("run"), 6);
  EXPECT_EQ(vocabulary.next_piece("s").value, 7);
  EXPECT_EQ(vocabulary.token(4), "run");
  EXPECT_THAT(vocabulary.warnings(),
              ElementsAre(AllOf(HasSubstr("`run` stands on line 5 and again on line 7"),
                                HasSubstr("2 such lines"))));
}

TEST(Vocabulary, R39_TheFirstOfManyDuplicatesIsNamed) {
  const Vocabulary vocabulary = Vocabulary::parse(kHead + "x\ny\ny\nx\nx\nz\ny\n", "vocab.txt");
  EXPECT_EQ(vocabulary.distinct(), 7);
  EXPECT_EQ(vocabulary.find("x"), 8);
  EXPECT_EQ(vocabulary.find("y"), 10);
  EXPECT_THAT(vocabulary.warnings(),
              ElementsAre(AllOf(HasSubstr("`y` stands on line 6 and again on line 7"),
                                HasSubstr("4 such lines"))));
}

TEST(Vocabulary, R39_CrlfIsAcceptedWithAWarning) {
  const Vocabulary vocabulary =
      Vocabulary::parse("[PAD]\n[UNK]\r\n[CLS]\r\n[SEP]\r\nrun\r\n", "vocab.txt");
  EXPECT_EQ(vocabulary.find("run"), 4);
  EXPECT_THAT(vocabulary.warnings(), ElementsAre(HasSubstr("vocab.txt:2: CRLF")));
}

TEST(Vocabulary, R39_EmptyFile) {
  EXPECT_THAT(refusal(""),
              AllOf(HasSubstr("E_VOCAB"), HasSubstr("vocab.txt:1:"), HasSubstr("empty")));
}

TEST(Vocabulary, R39_MissingSpecialToken) {
  for (const std::string token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) {
    std::string lines = kHead;
    lines.replace(lines.find(token), token.size(), "other");
    EXPECT_THAT(refusal(lines), AllOf(HasSubstr("E_VOCAB"), HasSubstr("no line of 4 is " + token)));
  }
}

TEST(Vocabulary, R39_OverlongLine) {
  const std::string longest(Vocabulary::kMaxLineBytes, 'a');
  EXPECT_EQ(Vocabulary::parse(kHead + longest + "\n", "vocab.txt").find(longest), 4);
  EXPECT_THAT(refusal(kHead + longest + "a\n"),
              AllOf(HasSubstr("E_VOCAB vocab.txt:5:"), HasSubstr("over 4096 bytes")));
}

TEST(Vocabulary, TooManyBytes) {
  const std::string line = std::string(Vocabulary::kMaxLineBytes, 'a') + "\n";
  std::string lines = kHead;
  for (int i = 0; i < 16384; ++i) lines += line;
  EXPECT_THAT(refusal(lines), AllOf(HasSubstr("E_VOCAB vocab.txt: the first 16388 tokens"),
                                    HasSubstr("over 67108864 bytes")));
}

TEST(Vocabulary, R39_InvalidUtf8) {
  EXPECT_THAT(refusal(kHead + "good\nba\xFF-\n"),
              AllOf(HasSubstr("E_VOCAB vocab.txt:6:"), HasSubstr("byte 3 ")));
  EXPECT_THAT(refusal(kHead + "cut\xE4\xB8"), HasSubstr("E_VOCAB vocab.txt:5:"));
}

TEST(Vocabulary, R39_FileThatIsOneEndlessLineIsRefusedUnread) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "vocab.txt";
  write_file_atomic(path, kHead);
  fs::resize_file(path, uint64_t{64} << 30);  // sparse: reading it all would take minutes
  const auto error = error_of([&] { Vocabulary::from_file(path); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), "E_VOCAB");
  EXPECT_THAT(error->what(), HasSubstr(path.string() + ":5:"));
}

TEST(Vocabulary, FromFileCarriesALineOverTheReadBuffersEnd) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "vocab.txt";
  std::string lines = kHead;
  int32_t count = 4;
  while (lines.size() < (size_t{3} << 20)) lines += "token" + std::to_string(count++) + "\n";
  write_file_atomic(path, lines);
  const Vocabulary vocabulary = Vocabulary::from_file(path);
  ASSERT_EQ(vocabulary.size(), count);
  for (int32_t id = 4; id < count; ++id) {
    ASSERT_EQ(vocabulary.token(id), "token" + std::to_string(id));
  }
}

TEST(Vocabulary, UnreadableFile) {
  const auto error = error_of([] { Vocabulary::from_file("/nonexistent/vocab.txt"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), "E_ENCODER");
  EXPECT_THAT(error->what(), HasSubstr("/nonexistent/vocab.txt"));
}

}  // namespace
}  // namespace moecollab::text
