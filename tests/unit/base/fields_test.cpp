#include "base/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>

#include "base/error.h"
#include "base/toml.h"

namespace moecollab {
namespace {

using testing::ElementsAre;

// A document and its root's fields, as every reader of this project sets them up.
struct Document {
  explicit Document(const std::string& text)
      : toml(parse_toml(text, "f.toml", "E_X")),
        root(toml.root, {"f.toml", "E_X_SCHEMA", &toml.lines}) {}
  TomlDocument toml;
  Fields root;
};

void expect_refused(const std::function<void()>& call, const std::string& message,
                    const std::string& hint = "") {
  try {
    call();
    ADD_FAILURE() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_X_SCHEMA");
    EXPECT_EQ(std::string(error.what()), message);
    EXPECT_EQ(error.hint(), hint);
  }
}

TEST(Fields, ReadsEachType) {
  Document d("s = 'x'\ni = -3\nd = 2\nb = true\nss = ['a', 'b']\nis = [1, 2]\ne = []\n");
  EXPECT_EQ(d.root.required<std::string>("s"), "x");
  EXPECT_EQ(d.root.required<int64_t>("i"), -3);
  EXPECT_EQ(d.root.required<double>("d"), 2.0);
  EXPECT_EQ(d.root.required<bool>("b"), true);
  EXPECT_THAT(d.root.required<std::vector<std::string>>("ss"), ElementsAre("a", "b"));
  EXPECT_THAT(d.root.required<std::vector<int64_t>>("is"), ElementsAre(1, 2));
  EXPECT_TRUE(d.root.required<std::vector<int64_t>>("e").empty());
  EXPECT_EQ(d.root.optional<bool>("absent"), std::nullopt);
  EXPECT_EQ(d.root.value_or<int64_t>("absent", 7), 7);
  EXPECT_NO_THROW(d.root.finish());
}

TEST(Fields, WrongTypesNameBothTypes) {
  Document d("\ns = 1\ni = 1.0\nd = '1'\nss = ['a', 2]\nis = [1.5]\n[t]\n");
  expect_refused([&] { d.root.required<std::string>("s"); },
                 "f.toml:2: `s` must be a string, not 1");
  expect_refused([&] { d.root.optional<int64_t>("i"); },
                 "f.toml:3: `i` must be an integer, not 1.0");
  expect_refused([&] { d.root.required<double>("d"); },
                 "f.toml:4: `d` must be a number, not \"1\"");
  expect_refused([&] { d.root.required<std::vector<std::string>>("ss"); },
                 "f.toml:5: `ss` must be an array of strings, not [\"a\",2]");
  expect_refused([&] { d.root.required<std::vector<int64_t>>("is"); },
                 "f.toml:6: `is` must be an array of integers, not [1.5]");
  expect_refused([&] { d.root.required<bool>("t"); },
                 "f.toml:7: `t` must be true or false, not {}");
  expect_refused([&] { d.root.table("s"); }, "f.toml:2: `s` must be a table, not number");
  expect_refused([&] { d.root.tables("s"); },
                 "f.toml:2: `s` must be an array of tables ([[s]]), not number");
}

TEST(Fields, AMissingKeyIsLookedForInItsTable) {
  Document d("\n[t]\n");
  expect_refused([&] { d.root.table("t")->required<std::string>("name"); },
                 "f.toml:2: `t.name` is missing", "add name = (a string)");
  expect_refused([&] { d.root.required<int64_t>("schema"); }, "f.toml: `schema` is missing",
                 "add schema = (an integer)");
}

TEST(Fields, UnknownKeysNameTheNearest) {
  Document d("size = 1\n[t]\nsha265 = 'x'\n");
  d.root.required<int64_t>("size");
  Fields t = *d.root.table("t");
  t.optional<std::string>("sha256");
  expect_refused([&] { t.finish(); },
                 "f.toml:3: `t.sha265` is not a known key; did you mean `sha256`?");
  EXPECT_NO_THROW(d.root.finish());
}

TEST(Fields, AKeyFarFromAllIsNotGuessed) {
  Document d("zzzzzzzz = 1\n");
  d.root.optional<int64_t>("size");
  expect_refused([&] { d.root.finish(); }, "f.toml:1: `zzzzzzzz` is not a known key");
}

TEST(Fields, ArraysOfTablesCarryTheirIndex) {
  Document d("[[e]]\nn = 1\n[[e]]\nm = 2\n");
  std::vector<Fields> tables = d.root.tables("e");
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].required<int64_t>("n"), 1);
  expect_refused([&] { tables[1].required<int64_t>("n"); }, "f.toml:3: `e[1].n` is missing",
                 "add n = (an integer)");
  EXPECT_TRUE(d.root.tables("absent").empty());
  EXPECT_FALSE(d.root.table("absent").has_value());
}

TEST(Fields, FreeTablesAreGivenAsTheyAre) {
  Document d("[c]\nz = 1\na = { b = 2 }\n");
  EXPECT_EQ(d.root.any("c")["a"]["b"], 2);
  EXPECT_TRUE(d.root.any("absent").is_null());
  EXPECT_THAT(d.root.table("c")->keys(), testing::UnorderedElementsAre("a", "z"));
}

TEST(Fields, KeysOfStrangersAreEscaped) {
  Document d("\"\\u001b[31m\" = 1\n");
  expect_refused([&] { d.root.finish(); }, "f.toml:1: `\\x1b[31m` is not a known key");
}

TEST(Fields, WithoutLinesTheFileIsNamed) {
  Fields fields(Json{{"a", 1}}, {"f.json", "E_X_SCHEMA"});
  expect_refused([&] { fields.required<std::string>("a"); }, "f.json: `a` must be a string, not 1");
  expect_refused(
      [] {
        Fields(Json(3), {"f.json", "E_X_SCHEMA"});
      },
      "f.json: the document must be a table, not number");
}

const Record kInner = {.keys = {{.name = "n", .type = KeyType::kNumber, .above = 0, .most = 1}}};
const Record kOuter = {.keys = {{.name = "s", .required = true},
                                {.name = "t", .type = KeyType::kTable, .record = &kInner}}};

// A reader that disagrees with what is declared is a bug, whatever the document.
TEST(Fields, ReadersAreHeldAgainstDeclaredKeys) {
  const Json document = {{"s", "x"}, {"t", {{"n", 0.5}}}};
  const auto root = [&] { return Fields(document, {"f", "E_X", {}, &kOuter}); };
  EXPECT_EQ(root().required<std::string>("s"), "x");
  EXPECT_THROW(root().optional<std::string>("s"), std::logic_error);
  EXPECT_THROW(root().required<int64_t>("s"), std::logic_error);
  EXPECT_THROW(root().optional<std::string>("absent"), std::logic_error);
  EXPECT_THROW(root().table("s"), std::logic_error);
  EXPECT_THROW(root().tables("t"), std::logic_error);
  EXPECT_THROW(root().any("u"), std::logic_error);
  Fields whole = root();
  whole.required<std::string>("s");
  Fields inner = *whole.table("t");
  EXPECT_NO_THROW(whole.finish());
  EXPECT_THROW(inner.optional<std::string>("n"), std::logic_error);
  EXPECT_EQ(inner.optional<double>("n"), 0.5);
  EXPECT_NO_THROW(inner.finish());
}

TEST(Fields, DeclaredKeysThatNobodyReadsAreABug) {
  Fields fields(Json{{"s", "x"}}, {"f", "E_X", {}, &kOuter});
  fields.required<std::string>("s");
  EXPECT_THROW(fields.finish(), std::logic_error);
}

TEST(Fields, BoundsAreThoseDeclared) {
  const Fields fields(Json::object(), {"f", "E_X", {}, &kInner});
  for (const double n : {0.001, 1.0}) EXPECT_TRUE(fields.in_bounds("n", n)) << n;
  for (const double n : {0.0, -1.0, 1.001, std::nan(""), HUGE_VAL})
    EXPECT_FALSE(fields.in_bounds("n", n)) << n;
}

// Beyond int64: JSON may hold it, TOML not.
TEST(Fields, IntegersFitInto64Bits) {
  Fields fields(Json{{"n", UINT64_MAX}}, {"f.json", "E_X_SCHEMA"});
  EXPECT_THROW(fields.required<int64_t>("n"), Error);
}

}  // namespace
}  // namespace moecollab
