#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace moecollab {
namespace {

using ::testing::HasSubstr;

std::string refusal(std::string_view text, int depth = 4) {
  try {
    parse_json(text, depth);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(to_line(parse_json(R"({"b": 1, "a": [2, null]})")), R"({"b":1,"a":[2,null]})");
}

TEST(Json, RefusesWhatTheLibraryLetsPass) {
  using namespace std::string_view_literals;
  EXPECT_THAT(refusal(R"({"a": 1, "a": 2})"), HasSubstr("\"a\" stands twice"));
  EXPECT_THAT(refusal("[[[[[1]]]]]"), HasSubstr("deeper than 4"));
  EXPECT_EQ(refusal("[[[[1]]]]"), "accepted");
  EXPECT_THAT(refusal("{}\0garbage"sv), HasSubstr("NUL byte at byte 2"));
  EXPECT_THAT(refusal("\xEF\xBB\xBF{}"), HasSubstr("byte order mark"));
}

TEST(Json, SyntaxErrorsNameTheByte) {
  EXPECT_THAT(refusal("{} x"), HasSubstr("byte 4"));
  EXPECT_NE(refusal("{"), "accepted");
  EXPECT_NE(refusal(""), "accepted");
}

}  // namespace
}  // namespace moecollab
