#include "base/toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/error.h"

namespace moecollab {
namespace {

using testing::HasSubstr;

TomlDocument parse(const std::string& text) { return parse_toml(text, "f.toml", "E_X"); }

void expect_refused(const std::string& text, const std::string& code, const std::string& part) {
  SCOPED_TRACE(text.substr(0, 80));
  try {
    parse(text);
    ADD_FAILURE() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

void expect_too_deep(const std::string& text, int line) {
  expect_refused(text, "E_X_SIZE", "f.toml:" + std::to_string(line) + ": nested deeper than 8");
}

TEST(Toml, ReadsValuesAndTheirLines) {
  const TomlDocument d = parse(
      "a = 1\nb = 2.5\n[t]\nc = true\nd = [\"x\", \"ü\"]\n[[l]]\ne = { f = 'g' }\n[[l]]\ne = -7\n");
  EXPECT_EQ(d.root["a"], 1);
  EXPECT_EQ(d.root["b"], 2.5);
  EXPECT_EQ(d.root["t"]["c"], true);
  EXPECT_EQ(d.root["t"]["d"][1], "ü");
  EXPECT_EQ(d.root["l"][0]["e"]["f"], "g");
  EXPECT_EQ(d.root["l"][1]["e"], -7);
  EXPECT_EQ(d.lines.at("b"), 2);
  EXPECT_EQ(d.lines.at("t.c"), 4);
  EXPECT_EQ(d.lines.at("l[0].e.f"), 7);
  EXPECT_EQ(d.lines.at("l[1].e"), 9);
  EXPECT_TRUE(parse("").root.empty());
  EXPECT_TRUE(parse("# only a comment").root.is_object());
}

TEST(Toml, SizeComesFirst) {
  expect_refused(std::string(64 * 1024 + 1, '\x01'), "E_X_SIZE", "65537 bytes");
  EXPECT_NO_THROW(parse(std::string(64 * 1024, '\n')));
  EXPECT_EQ(parse_toml("a = 1" + std::string(70'000, ' '), "f", "E_X", 80'000).root["a"], 1);
}

TEST(Toml, BytesAreTextWithPlainLineEnds) {
  expect_refused("[\x05]", "E_X_BYTES", "0x05 at byte 1");
  expect_refused(std::string("\0", 1), "E_X_BYTES", "0x00 at byte 0");
  expect_refused("a = 1\x7F", "E_X_BYTES", "0x7f at byte 5");
  expect_refused("a = 1\rb = 2", "E_X_BYTES", "0x0d at byte 5");
  expect_refused("a = 1\r", "E_X_BYTES", "0x0d at byte 5");
  expect_refused("\xEF\xBB\xBF", "E_X_BYTES", "byte order mark");
  expect_refused("a = \"\xC3\"", "E_X_BYTES", "invalid UTF-8 at byte 5");
  EXPECT_EQ(parse("a =\t1\r\nb = \"é\"\r\n").root["b"], "é");
}

TEST(Toml, SyntaxErrorsHaveLineAndColumn) {
  expect_refused("a = 1\nb = \n", "E_X_SYNTAX", "f.toml:2:");
  expect_refused("a = 1\na = 2\n", "E_X_SYNTAX", "f.toml:2:");
  expect_refused("[t]\n[t]\n", "E_X_SYNTAX", "f.toml:2:");
  expect_refused("a = 99999999999999999999\n", "E_X_SYNTAX", "f.toml:1:");
  expect_refused("a = 1979-05-27\n", "E_X_SCHEMA", "date");
  expect_refused("a = [07:32:00]\n", "E_X_SCHEMA", "`a[0]`");
}

// toml++ 3.3.0 alone aborts on the first of these, or continues if NDEBUG is defined.
TEST(Toml, WhatTheParserHoldsImpossibleIsASyntaxError) {
  for (const char* text :
       {"[!]",   "[",           "[[",          "[ ",         "[]",     "[\n]",    "[[[a]]]",
        "[.a]",  "[=]",         "[ #]",        "[[!]]",      "[[\n",   "[{",      "[ [a]]",
        "[a.]",  "[a.!]",       "[a",          "x = 1\n[!]", "x = [}", "x = {]",  "x = ]",
        "x = }", "x =,",        "x = [ #",     "]",          "[a]]",   "x = [,]", "x = {,}",
        "= 1",   "x = { a = }", "x = { = 1 }", "x",          "x ="}) {
    expect_refused(text, "E_X_SYNTAX", "f.toml:");
  }
  expect_refused("a = 1\nx = [ }", "E_X_SYNTAX", "f.toml:2:7: } closes nothing that is open");
  expect_refused("x = [\n[1]]\n[ !", "E_X_SYNTAX", "f.toml:3:3: a table header needs a name");
  EXPECT_NO_THROW(parse("[ a ]\n[[ b ]]\n['c d']\n[ \"e\" ]\n[-1_]\nx = [\n[],\n[ [1] ]\n]"));
}

// Where toml++ 3.3.0 asks whether such a character is white space, its answer is undefined.
TEST(Toml, CharactersBeyondAsciiStandInQuotesAndComments) {
  for (const char* text :
       {"a = 1\nb = ü", "ü = 1", "a = [1ö2]", "a = 1 é", "a\u00A0= 1", "[é]", "[\u2003a]",
        "a = [`\"Höhe\"]", "a = 1.\"é\"", "a = \"\"\"x\\ö\"\"\"", "a = \"\\ö\""}) {
    expect_refused(text, "E_X_SYNTAX", "f.toml:");
  }
  const Json root =
      parse("'ü' = \"é\" # ö\nb = \"\"\"ä\\\n  öx\nö\"\"\"\nc = { a.\"ß\" = '\u2003' }").root;
  EXPECT_EQ(root["ü"], "é");
  EXPECT_EQ(root["b"], "äöx\nö");
  EXPECT_EQ(root["c"]["a"]["ß"], "\u2003");
}

TEST(Toml, EightLevelsAreTaken) {
  EXPECT_NO_THROW(parse("a.b.c.d.e.f.g.h = 1"));
  EXPECT_NO_THROW(parse("[a.b.c.d.e.f.g]\nx = 1"));
  EXPECT_NO_THROW(parse("x = [[[[[[[[1]]]]]]]]"));
}

TEST(Toml, NineLevelsAreNot) {
  expect_too_deep("a.b.c.d.e.f.g.h.i = 1", 1);
  expect_too_deep("\n[a.b.c.d.e.f.g.h.i]", 2);
  expect_too_deep("x = [[[[[[[[[1]]]]]]]]]", 1);
  expect_too_deep("x = [\n[[[[[\n[[[1", 3);
  expect_too_deep("x = { a.b.c.d.e.f.g.h.i = 1 }", 1);
  expect_too_deep("[a.b.c.d]\ne.f.g = 1\nh.i.j.k.l = 1", 3);
  expect_too_deep("[[a.b.c.d]]\ne = [{ f.g = { h.i = 1 } }]", 2);
  expect_too_deep("\"a\".'b' . c.d.e.f.g.h.i = 1", 1);
}

TEST(Toml, NothingHidesNestingFromTheScreen) {
  const std::string deep = "[[[[[[[[[";
  expect_too_deep("x = ['it''s', " + deep, 1);
  expect_too_deep("x = [\"a\\\"\", " + deep, 1);
  expect_too_deep("x = ['a\\', " + deep, 1);
  expect_too_deep("x = [\"\", " + deep, 1);
  expect_too_deep("x = 1 # \"\ny = " + deep, 2);
  expect_too_deep("x = \"\"\"\na\\\n\"\"\"\ny = " + deep, 4);
  // The quotes before the closing three belong to the string.
  expect_too_deep("x = [\"\"\"a\"\"\"\", " + deep, 1);
  expect_too_deep("x = [\"\"\"a\"\"\"\"\", " + deep, 1);
  expect_too_deep("x = ['''a'''', " + deep, 1);
  expect_too_deep("x = [\"\"\"\"\"\", " + deep, 1);
}

TEST(Toml, WhatOnlyLooksNestedIsTaken) {
  EXPECT_NO_THROW(parse("x = \"a.b.c.d.e.f.g.h.i.j [[[[[[[[[[\""));
  EXPECT_NO_THROW(parse("x = 'a.b.c.d.e.f.g.h.i.j [[[[[[[[[['"));
  EXPECT_NO_THROW(parse("# a.b.c.d.e.f.g.h.i.j [[[[[[[[[[\nx = 1"));
  EXPECT_NO_THROW(parse("x = \"\"\"\n[[[[[[[[[[\n\\\" a.b.c.d.e.f.g.h.i.j\n\"\"\"\ny = 1"));
  EXPECT_NO_THROW(parse("\"a.b.c.d.e.f.g.h.i.j\" = 1"));
  EXPECT_NO_THROW(parse("x = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]"));
  EXPECT_NO_THROW(parse("x = [\n0.1,\n0.2,\n0.3,\n0.4,\n0.5,\n0.6,\n0.7,\n0.8,\n0.9\n]"));
  std::string many = "x = [";
  for (int i = 0; i < 50; ++i) many += "[{ a = [1.5] }], ";
  EXPECT_NO_THROW(parse(many + "[]]"));
  EXPECT_EQ(parse("x = [\"\"\"a\"\"\"\"\", 1]").root["x"][0], "a\"\"");
}

TEST(Toml, FilesThatCannotBeReadAreIo) {
  const TemporaryFolder folder;
  const auto code_of = [](const fs::path& path) -> std::string {
    try {
      read_toml(path, "E_X");
    } catch (const Error& error) {
      return error.code();
    }
    return "";
  };
  EXPECT_EQ(code_of(folder.path() / "none.toml"), "E_X_IO");
  EXPECT_EQ(code_of(folder.path()), "E_X_IO");
  write_file_atomic(folder.path() / "big.toml", std::string(64 * 1024 + 1, '\n'));
  EXPECT_EQ(code_of(folder.path() / "big.toml"), "E_X_SIZE");
}

TEST(TomlText, RoundTrips) {
  Json root = {{"text", "quote \" backslash \\ tab \t line \n bell \x07 ü"},
               {"odd key.", 1},
               {"", 2},
               {"float", 3.0},
               {"tiny", 1e-300},
               {"huge", 1e300},
               {"minimum", INT64_MIN},
               {"list", {1, 2}},
               {"empty_list", Json::array()},
               {"empty_table", Json::object()},
               {"lists", {{1.5}, {"a", "b"}}},
               {"mixed", Json::array({1, Json{{"k", "v"}}, Json::array({Json{{"x y", 1}}})})}};
  root["table"] = {{"inner", {{"a.b", {{"c", true}}}}}};
  root["tables"] =
      Json::array({Json{{"n", 1}, {"sub", {{"m", 2}}}}, Json{{"n", 2}}, Json::object()});
  const std::string text = to_toml(root);
  // The parser sorts keys, so the comparison is without order.
  EXPECT_EQ(nlohmann::json(parse(text).root), nlohmann::json(root)) << text;
}

TEST(TomlText, FloatsStayFloatsAndNullsAreLeftOut) {
  const Json root = {{"one", 1.0}, {"none", nullptr}, {"infinite", INFINITY}};
  const std::string text = to_toml(root);
  EXPECT_THAT(text, HasSubstr("one = 1.0\n"));
  EXPECT_THAT(text, Not(HasSubstr("none")));
  EXPECT_TRUE(parse(text).root["one"].is_number_float());
  EXPECT_TRUE(std::isinf(parse(text).root["infinite"].get<double>()));
}

}  // namespace
}  // namespace moecollab
