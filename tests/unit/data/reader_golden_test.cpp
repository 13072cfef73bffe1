// Files whose reading tools/golden_reader.py compared with pandas' or Python's json.
#include <fmt/format.h>

#include "base/json.h"
#include "data/entries.h"
#include "unit/data/data_files.h"

namespace moecollab::data {
namespace {

std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<uint32_t>(kDigits.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

class ReaderGolden : public DataFiles {};

TEST_F(ReaderGolden, RowsAndRefusalsAreThoseCompared) {
  const Json files =
      parse_json(read_file(fs::path(MOECOLLAB_SOURCE_DIR) / "tests/golden/reader.json", "E_TEST"));
  ASSERT_EQ(files.size(), 40u);
  for (const Json& file : files) {
    Json rows = Json::array(), refused = Json::array();
    for_each_entry(
        write(file["name"].get<std::string>(), from_base64(file["bytes"].get<std::string>())), {},
        Need::kTextAndAnyLabel, {}, [&](const Entry& entry) {
          if (const auto* record = std::get_if<Record>(&entry))
            return rows.push_back({record->text, record->label});
          refused.push_back(std::get<Refusal>(entry).line);
        });
    EXPECT_EQ(rows, file["rows"]) << file["name"];
    EXPECT_EQ(refused, file["refused"]) << file["name"];
  }
}

}  // namespace
}  // namespace moecollab::data
