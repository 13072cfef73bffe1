#include "cluster/letter.h"

#include <gtest/gtest.h>

#include <random>

namespace moecollab::cluster {
namespace {

Letter part() {
  Letter letter;
  letter.kind = Letter::Kind::kPart;
  letter.step = 7;
  letter.offset = 3;
  letter.total = 9;
  letter.what = "features";
  letter.bytes = std::string("\0\1\2\377", 4);
  return letter;
}

Letter farewell() {
  Letter letter;
  letter.kind = Letter::Kind::kFarewell;
  letter.culprit = 2;
  letter.code = "E_DATA";
  letter.message = "a \"quoted\" line";
  letter.hint = "look";
  return letter;
}

std::string refusal(std::string_view bytes) {
  try {
    parse_letter(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DIST");
    return error.what();
  }
  return "";
}

TEST(Letter, ComesBackAsItWas) {
  const Letter piece = parse_letter(to_bytes(part()));
  EXPECT_EQ(piece.kind, Letter::Kind::kPart);
  EXPECT_EQ(piece.step, 7u);
  EXPECT_EQ(piece.offset, 3u);
  EXPECT_EQ(piece.total, 9u);
  EXPECT_EQ(piece.what, "features");
  EXPECT_EQ(piece.bytes, part().bytes);
  const Letter last = parse_letter(to_bytes(farewell()));
  EXPECT_EQ(last.culprit, 2);
  EXPECT_EQ(last.code, "E_DATA");
  EXPECT_EQ(last.message, "a \"quoted\" line");
  EXPECT_EQ(last.hint, "look");
  EXPECT_EQ(parse_letter(to_bytes({.kind = Letter::Kind::kGoodbye})).kind, Letter::Kind::kGoodbye);
  EXPECT_EQ(parse_letter(to_bytes({})).kind, Letter::Kind::kBeat);
}

TEST(Letter, CutBeforeItsPieceIsRefused) {
  const std::string bytes = to_bytes(part());
  for (size_t size = 0; size + part().bytes.size() < bytes.size(); ++size)
    EXPECT_NE(refusal(bytes.substr(0, size)), "") << size;
  EXPECT_NE(refusal(to_bytes({}) + "more"), "");
}

TEST(Letter, AnotherVersionIsRefused) {
  std::string bytes = to_bytes(part());
  bytes[std::string_view("moecollab/").size()] = '2';
  EXPECT_NE(refusal(bytes).find("moecollab/2"), std::string::npos);
}

TEST(Letter, PieceBeyondItsTotalIsRefused) {
  Letter letter = part();
  letter.offset = 6;
  EXPECT_NE(refusal(to_bytes(letter)).find("4 bytes at 6 of 9"), std::string::npos);
  letter.offset = 10;
  EXPECT_NE(refusal(to_bytes(letter)), "");
}

TEST(Letter, DamagedBytesAreReadOrRefusedAndNoMore) {
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = to_bytes(i % 2 == 0 ? part() : farewell());
    for (int k = 0; k < 3; ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    refused += refusal(bytes).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 10000);
}

}  // namespace
}  // namespace moecollab::cluster
