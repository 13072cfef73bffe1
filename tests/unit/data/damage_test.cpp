// Damaged files are read or refused: never a crash, never an empty example.
#include <fmt/format.h>

#include <utility>
#include <variant>

#include "data/dataset.h"
#include "data/records.h"
#include "unit/data/data_files.h"
#include "unit/in_brief.h"

namespace moecollab::data {
namespace {

const std::string kGoodJsonl =
    "{\"text\": \"so \\\"glad\\\" \\ud83c\\udf89\", \"label\": \"joy\", \"m\": [1, {\"a\": "
    "null}]}\r\n"
    "{\"label\": \"anger\", \"text\": \"café 🎉\"}\n"
    "{\"text\": \"last\", \"label\": \"joy\"}";
const std::string kGoodCsv =
    "id,text,label\r\n1,\"so \"\"glad\"\",\nreally\",joy\n2,café 🎉,anger\r\n3,\"last\",\"joy\"";

// Every truncation, and every byte replaced by each of a set that means something to the formats.
std::vector<std::string> damaged(const std::string& good) {
  std::vector<std::string> all;
  for (size_t i = 0; i < good.size(); ++i) {
    all.push_back(good.substr(0, i));
    for (const char c : {'\0', '\n', '\r', '"', ',', '\\', '{', '}', '[', ' ', '\x80', '\xFF'}) {
      all.push_back(good);
      all.back()[i] = c;
    }
    for (const int bit : {0, 5, 7}) {
      all.push_back(good);
      all.back()[i] = static_cast<char>(all.back()[i] ^ (1 << bit));
    }
  }
  return all;
}

// What a reader makes of the bytes, as text, when they come in pieces of `piece` bytes.
std::vector<std::string> entries(const std::string& bytes, Format format, Need need, size_t piece) {
  RecordReader reader({.format = format}, format, need);
  std::vector<std::string> all;
  const auto take = [&] {
    while (const auto entry = reader.next()) {
      if (const auto* record = std::get_if<Record>(&*entry)) {
        all.push_back(
            fmt::format("{}={}|{}|{}", record->line, record->text, record->label, record->id));
      } else {
        const auto& refusal = std::get<Refusal>(*entry);
        all.push_back(place(refusal) + "!" + refusal.reason);
      }
    }
  };
  for (size_t at = 0; at < bytes.size(); at += piece) {
    reader.feed(std::string_view(bytes).substr(at, piece));
    take();
  }
  reader.finish();
  take();
  return all;
}

class Damage : public DataFiles,
               public testing::WithParamInterface<std::pair<const char*, std::string>> {};

TEST_P(Damage, IsReadOrRefused) {
  const auto& [name, good] = GetParam();
  ASSERT_EQ(read_dataset("d", write(name, good)).examples.size(), 3u);
  size_t refused = 0;
  const std::vector<std::string> cases = damaged(good);
  // Every fifth: a file each takes time, and the stride still meets each kind of damage.
  for (size_t i = 0; i < cases.size(); i += 5) {
    const std::string& bytes = cases[i];
    try {
      for (const Example& example : read_dataset("d", write(name, bytes)).examples) {
        ASSERT_FALSE(example.text.empty() || example.label.empty()) << bytes;
      }
    } catch (const Error& error) {
      ++refused;
      ASSERT_EQ(error.code(), "E_DATA") << bytes;
      ASSERT_THAT(error.what(), testing::HasSubstr(std::string(name) + ":")) << bytes;
    }
  }
  EXPECT_GT(refused, cases.size() / 5 / 4) << "the damage is too mild to test anything";
}

TEST_P(Damage, DoesNotDependOnThePieces) {
  const auto& [name, good] = GetParam();
  const Format format = format_of(name).value();
  size_t tried = 0;
  for (const std::string& bytes : damaged(good)) {
    if (in_brief() && ++tried % 3 != 0) continue;
    for (const Need need : {Need::kText, Need::kTextAndLabel}) {
      const auto whole = entries(bytes, format, need, bytes.size() + 1);
      ASSERT_EQ(entries(bytes, format, need, 1), whole) << bytes;
      ASSERT_EQ(entries(bytes, format, need, 7), whole) << bytes;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Damage,
                         testing::Values(std::pair{"a.jsonl", kGoodJsonl},
                                         std::pair{"a.csv", kGoodCsv}),
                         [](const auto& run) { return run.index == 0 ? "jsonl" : "csv"; });

// Whoever feeds a whole file before the first record is asked for gets the refusal, too.
TEST(DamagedStart, IsRefusedAlsoIfTheFileIsFedWhole) {
  const std::string utf32("\0\0\xFE\xFF\0\0\0a", 8);
  for (const Format format : {Format::kAuto, Format::kJsonl, Format::kTsv}) {
    RecordReader reader({.format = format}, std::nullopt, Need::kText);
    reader.feed(utf32);
    EXPECT_NO_THROW(reader.finish());
    const auto entry = reader.next();
    ASSERT_TRUE(entry.has_value());
    const auto* refusal = std::get_if<Refusal>(&*entry);
    ASSERT_NE(refusal, nullptr);
    EXPECT_NE(refusal->reason.find("UTF-32"), std::string::npos) << refusal->reason;
    EXPECT_FALSE(reader.next().has_value());
  }
}

}  // namespace
}  // namespace moecollab::data
