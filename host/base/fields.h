// Strict reading of a JSON or TOML object: every key is asked for, or it is an error.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/record.h"

namespace moecollab {

// One object of a document. Ask for each key that the schema knows, then call finish(): a key that
// nobody asked for is refused with the nearest known one. Every refusal is an Error of the given
// code that names file, line if known, key path, and what was expected and seen.
class Fields {
 public:
  struct Source {
    std::string file;
    std::string code;                              // E_REG_SCHEMA, …
    const std::map<std::string, int>* lines = {};  // by path; may be null
    // The declared keys of the object; may be null. A reader that asks for another key, for another
    // type, for one as required that is not (or the reverse), or not for every key, is a bug: it
    // gets std::logic_error.
    const Record* record = nullptr;
  };

  Fields(const Json& object, Source source, std::string path = {});

  // T: std::string, int64_t, double (an integer is taken), bool, std::vector<std::string>,
  // std::vector<int64_t>.
  template <typename T>
  T required(const std::string& key);
  template <typename T>
  std::optional<T> optional(const std::string& key);
  template <typename T>
  T value_or(const std::string& key, T fallback) {
    return optional<T>(key).value_or(std::move(fallback));
  }

  // A nested object (nullopt if absent), or every object of an array of objects.
  std::optional<Fields> table(const std::string& key);
  std::vector<Fields> tables(const std::string& key);
  // A value of any shape, not looked into; null if absent.
  Json any(const std::string& key);
  // Whether a number is finite and within the bounds that `key` is declared with.
  bool in_bounds(const std::string& key, double value) const;
  // How `key` is declared. Throws std::logic_error if it is not.
  const Key& declared(const std::string& key) const;
  const Record* record() const { return source_.record; }
  // All keys of a free table (names chosen by the file's author).
  std::vector<std::string> keys() const;

  void finish() const;

  // An Error at `key` of this object: "file:line: `path.key` message".
  [[noreturn]] void fail(const std::string& key, const std::string& message,
                         std::string hint = {}) const;

 private:
  template <typename T>
  std::optional<T> get(const std::string& key, bool required);
  const Json* find(const std::string& key);
  void expect(const std::string& key, KeyType type) const;
  Source source_of(const std::string& key) const;
  std::string path_of(const std::string& key) const;

  Json object_;
  Source source_;
  std::string path_;
  std::vector<std::string> known_;
};

}  // namespace moecollab
