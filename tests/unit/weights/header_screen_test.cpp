// What is refused in a header before it is parsed, seen through the reader of files.
#include "weights/header_screen.h"

#include "unit/weights/helpers.h"

namespace moecollab::weights {
namespace {

TEST(HeaderScreen, R33_HeaderThatIsNotUtf8) {
  expect_refused(file_of("\xff"), "E_ST_INVALID_HEADER", "byte 1");
  expect_refused(file_of("{\"\xC0\xAF\":1}"), "E_ST_INVALID_HEADER", "byte 3");
  expect_refused(file_of("{\"\xED\xA0\x80\":1}"), "E_ST_INVALID_HEADER", "byte 3");
}

TEST(HeaderScreen, R33_NulAndByteOrderMarkAreNotJson) {
  expect_refused(file_of(std::string("{\"\0\":{}}", 8)), "E_ST_INVALID_HEADER_DESERIALIZATION",
                 "(byte 3 of it): a NUL");
  expect_refused(file_of("\xEF\xBB\xBF{}"), "E_ST_INVALID_HEADER_DESERIALIZATION",
                 "byte order mark");
}

std::string with_text(const std::string& text) {
  return file_of(R"({"__metadata__":{"a":")" + text + "\"}}");
}

TEST(HeaderScreen, R33_OverlongStrings) {
  constexpr size_t kLongest = size_t{4} << 20;
  EXPECT_NO_THROW(read(with_text(std::string(kLongest, 'x'))));
  expect_refused(with_text(std::string(kLongest + 1, 'x')), "E_ST_HEADER_TOO_LARGE",
                 "string at byte 22");
  expect_refused(with_text("\\\"" + std::string(kLongest, 'x')), "E_ST_HEADER_TOO_LARGE", "string");
}

TEST(HeaderScreen, R33_OverlongNumbers) {
  const auto with_number = [](size_t digits) {
    return file_of(R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"y":0.)" +
                   std::string(digits, '1') + "}}");
  };
  EXPECT_NO_THROW(read(with_number(1022)));
  expect_refused(with_number(1023), "E_ST_HEADER_TOO_LARGE", "number at byte 57");
}

TEST(HeaderScreen, R33_OverlongWhiteSpace) {
  EXPECT_NO_THROW(read(file_of("{" + std::string(65536, '\n') + "}")));
  expect_refused(file_of("{" + std::string(65537, '\n') + "}"), "E_ST_HEADER_TOO_LARGE",
                 "white space at byte 2");
  // Within strings it is text, also after an escaped quote.
  for (const char* start : {"", R"(\")", R"(\\\")", R"(\\","b":")"}) {
    EXPECT_NO_THROW(read(with_text(start + std::string(65537, ' ')))) << start;
  }
}

}  // namespace
}  // namespace moecollab::weights
