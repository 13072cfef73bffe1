#include "text/trie.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

namespace moecollab::text {
namespace {

using Keys = std::map<std::string, int32_t, std::less<>>;

Trie trie_of(const Keys& keys) {
  std::vector<Trie::Entry> entries;
  for (const auto& [key, value] : keys) entries.push_back({key, value});
  return Trie(entries);
}

int32_t value_of(const Trie& trie, std::string_view key) { return trie.value(trie.find(key)); }

// The same by trying every start of the text, the longest first.
Trie::Match longest_start(const Keys& keys, std::string_view text) {
  for (size_t length = text.size(); length > 0; --length) {
    const auto found = keys.find(text.substr(0, length));
    if (found != keys.end()) return {found->second, length};
  }
  return {};
}

std::string random_string(std::string_view letters, size_t longest, std::mt19937& chance) {
  std::string text(chance() % (longest + 1), ' ');
  for (char& c : text) c = letters[chance() % letters.size()];
  return text;
}

TEST(Trie, WithoutKeysFindsNothing) {
  const Trie trie;
  EXPECT_EQ(trie.size(), 0u);
  EXPECT_EQ(value_of(trie, ""), Trie::kAbsent);
  EXPECT_EQ(value_of(trie, "a"), Trie::kAbsent);
  EXPECT_EQ(trie.longest(Trie::root(), "ab").value, Trie::kAbsent);
}

TEST(Trie, FindsKeysNotTheirStartsOrContinuations) {
  const Trie trie = trie_of({{"run", 3}, {"running", 0}, {"", 7}});
  EXPECT_EQ(trie.size(), 3u);
  EXPECT_EQ(value_of(trie, "run"), 3);
  EXPECT_EQ(value_of(trie, "running"), 0);
  EXPECT_EQ(value_of(trie, ""), 7);
  EXPECT_EQ(value_of(trie, "runn"), Trie::kAbsent);
  EXPECT_EQ(value_of(trie, "runs"), Trie::kAbsent);
}

TEST(Trie, LongestLeavesOutTheEmptyKeyAndGoesBackToTheLastOne) {
  const Trie trie = trie_of({{"", 7}, {"un", 1}, {"unable", 2}, {"##", 3}, {"##able", 4}});
  EXPECT_EQ(trie.longest(Trie::root(), "x").value, Trie::kAbsent);
  EXPECT_EQ(trie.longest(Trie::root(), "unabated").value, 1);
  EXPECT_EQ(trie.longest(Trie::root(), "unabated").length, 2u);
  EXPECT_EQ(trie.longest(Trie::root(), "unables").length, 6u);
  const Trie::Node inside = trie.find("##");
  EXPECT_EQ(trie.longest(inside, "ables").value, 4);
  EXPECT_EQ(trie.longest(inside, "ables").length, 4u);
  EXPECT_EQ(trie.longest(inside, "abl").value, Trie::kAbsent);
  EXPECT_EQ(trie.longest(trie.find("#!"), "able").value, Trie::kAbsent);
}

TEST(Trie, OfEqualKeysTheGreatestValueStaysInAnyOrder) {
  const Trie trie({{"a", 1}, {"b", 9}, {"a", 5}, {"a", 3}});
  EXPECT_EQ(trie.size(), 2u);
  EXPECT_EQ(value_of(trie, "a"), 5);
  EXPECT_EQ(value_of(trie, "b"), 9);
}

TEST(Trie, AgreesWithTryingEveryStart) {
  std::mt19937 chance(1);
  // Few letters so that keys share starts; the bytes at the ends of their range, too.
  for (const std::string_view letters : {std::string_view("ab"), std::string_view("abcdefgh"),
                                         std::string_view("\0\1a\xFE\xFF", 5)}) {
    for (const size_t count : {1u, 10u, 300u, 3000u}) {
      Keys keys;
      for (size_t i = 0; i < count; ++i) {
        keys[random_string(letters, 9, chance)] = static_cast<int32_t>(i);
      }
      const Trie trie = trie_of(keys);
      ASSERT_EQ(trie.size(), keys.size());
      for (const auto& [key, value] : keys) ASSERT_EQ(value_of(trie, key), value);
      for (int i = 0; i < 2000; ++i) {
        const std::string text = random_string(letters, 12, chance);
        const Trie::Match found = trie.longest(Trie::root(), text);
        const Trie::Match expected = longest_start(keys, text);
        ASSERT_EQ(found.value, expected.value) << testing::PrintToString(text);
        ASSERT_EQ(found.length, expected.length) << testing::PrintToString(text);
        const auto key = keys.find(text);
        ASSERT_EQ(value_of(trie, text), key == keys.end() ? Trie::kAbsent : key->second);
      }
    }
  }
}

TEST(Trie, TakesEveryByteAndLongKeys) {
  Keys keys;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    keys[std::string(1, c)] = byte;
    keys[std::string(1, c) + std::string(300, c)] = 256 + byte;
  }
  const Trie trie = trie_of(keys);
  for (const auto& [key, value] : keys) {
    ASSERT_EQ(value_of(trie, key), value);
    ASSERT_EQ(value_of(trie, key + key[0]), Trie::kAbsent);
    ASSERT_EQ(trie.longest(Trie::root(), key + key[0]).value, value);
  }
}

}  // namespace
}  // namespace moecollab::text
