#include "evaluation/html_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/digest.h"

namespace moecollab::evaluation {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kHostile[] = "</script><script>alert(1)</script><!--";

size_t count_of(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ChartJson, HasWhatTheScriptReads) {
  Chart chart{"Load", "", {{"now", {0.5, std::nullopt}, {1, 2}}, {"target", {1.0, 1.0}, {}, true}}};
  chart.x_title = "epoch";
  chart.greatest = 1;
  EXPECT_EQ(
      to_json(chart),
      (Json{
          {"kind", "lines"},
          {"x_title", "epoch"},
          {"y_title", ""},
          {"labels", Json::array()},
          {"ideal", nullptr},
          {"least", nullptr},
          {"greatest", 1.0},
          {"series",
           {{{"name", "now"}, {"x", {1.0, 2.0}}, {"y", {0.5, nullptr}}, {"reference", false}},
            {{"name", "target"}, {"x", Json::array()}, {"y", {1.0, 1.0}}, {"reference", true}}}}}));
  chart.kind = ChartKind::kBars;
  chart.labels = {"a\x1b[2J", "b"};
  chart.ideal = 1;
  const Json bars = to_json(chart);
  EXPECT_EQ(bars["kind"], "bars");
  EXPECT_EQ(bars["labels"], (Json{"a\\x1b[2J", "b"}));
  EXPECT_EQ(bars["ideal"], 1.0);
}

TEST(ChartJson, AValueThatIsNotFiniteIsNullAndNoValueIsNoChart) {
  const double infinite = std::numeric_limits<double>::infinity();
  const Chart chart{"x", "", {{"a", {std::numeric_limits<double>::quiet_NaN(), infinite, 0.25}}}};
  EXPECT_EQ(to_json(chart)["series"][0]["y"], (Json{nullptr, nullptr, 0.25}));
  EXPECT_FALSE(has_values({"x", "", {}}));
  EXPECT_FALSE(has_values({"x", "", {{"a", {std::nullopt}}, {"r", {1.0}, {}, true}}}));
  EXPECT_TRUE(has_values(chart));
  EXPECT_EQ(html_chart({"x", "", {{"a", {}}}}), "");
}

TEST(HtmlChart, NoTextEndsTheScriptThatHoldsIt) {
  const std::string html = html_chart({kHostile, kHostile, {{kHostile, {1.0}}}});
  EXPECT_EQ(count_of(html, "<script"), 1u);
  EXPECT_EQ(count_of(html, "</script>"), 1u);
  EXPECT_THAT(html, AllOf(HasSubstr("&lt;/script&gt;"), HasSubstr("\\u003c/script>"),
                          Not(HasSubstr("<!--"))));
}

// The policy admits one script by its digest: what the page has, byte for byte.
TEST(HtmlPage, MayRunTheScriptThatDrawsItsChartsAndNoOther) {
  const std::string page = html_page("Title", html_chart({"x", "", {{"a", {1.0}}}}));
  const size_t begin = page.rfind("<script>") + 8, end = page.rfind("</script>");
  const std::string script = page.substr(begin, end - begin);
  EXPECT_THAT(script, AllOf(HasSubstr("Chart.js v3"), HasSubstr("MIT License")));
  EXPECT_THAT(page, HasSubstr("content=\"default-src 'none'; style-src 'unsafe-inline'; "
                              "script-src 'sha256-" +
                              to_base64(sha256(script)) + "'\""));
  EXPECT_EQ(count_of(script, "</script"), 0u);
  EXPECT_LT(page.size(), 250'000u) << "inlined once";
}

TEST(HtmlPage, HasNoScriptWithoutAChart) {
  const std::string page = html_page("<Title>", "<p>no chart</p>\n");
  EXPECT_THAT(page, AllOf(HasSubstr("<title>&lt;Title&gt;</title>"), Not(HasSubstr("<script")),
                          HasSubstr("content=\"default-src 'none'; style-src 'unsafe-inline'\"")));
}

// RFC 4648, section 10.
TEST(ToBase64, PadsAsTheStandardSays) {
  const auto encoded = [](std::string_view text) {
    return to_base64({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foo"), "Zm9v");
  EXPECT_EQ(encoded("foobar"), "Zm9vYmFy");
}

}  // namespace
}  // namespace moecollab::evaluation
