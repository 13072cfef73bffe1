// The keys that a table of a file may have, declared once: its reader checks itself against them
// (base/fields.h), and the JSON Schemas in registry/schema/ are made from them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab {

// How a string must look.
struct Shape {
  bool (*fits)(std::string_view);
  std::string pattern;  // the same as a regular expression, ECMA 262; it may take more, never less
};

enum class KeyType { kString, kInteger, kNumber, kBoolean, kStrings, kIntegers, kTable, kTables };

struct Record;

struct Key {
  std::string name = {};
  KeyType type = KeyType::kString;
  std::string meaning = {};  // with its unit; for people
  bool required = false;
  // What an absent key means, as TOML; empty: nothing that can be written.
  std::string fallback = {};

  // Limits of a string, or of each item of an array; what a table may be instead.
  std::vector<std::string> words = {};        // the only values; empty: any
  std::vector<std::string> later_words = {};  // of a later version: named in refusals
  const Shape* shape = nullptr;

  // Limits of a number, which is finite besides.
  std::optional<double> least = {};  // at least this
  std::optional<double> above = {};  // more than this
  std::optional<double> most = {};   // at most this

  // Limits of an array.
  size_t min_items = 0;
  std::optional<size_t> max_items = {};
  bool distinct = false;
  std::string contains = {};  // an item that must be there; empty: none

  const Record* record = nullptr;  // of a table, or of each of an array of tables; null: free
  bool later = false;              // of a later version: refused
};

struct Record {
  std::vector<Key> keys = {};
  // Set if the file's author chooses the keys: what each of them holds, and how it looks.
  std::optional<Key> each = {};
  const Shape* key_shape = nullptr;
  bool may_be_empty = false;               // no key at all: then none is required
  std::vector<std::string> not_both = {};  // two keys that exclude each other

  // nullptr if there is no such key.
  const Key* find(std::string_view key) const;
};

}  // namespace moecollab
