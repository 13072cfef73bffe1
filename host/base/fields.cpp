#include "base/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

// How each type is recognised and named in messages.
template <typename T>
struct Kind;
template <>
struct Kind<std::string> {
  static constexpr KeyType kType = KeyType::kString;
  static constexpr const char* kName = "a string";
  static bool fits(const Json& v) { return v.is_string(); }
};
template <>
struct Kind<int64_t> {
  static constexpr KeyType kType = KeyType::kInteger;
  static constexpr const char* kName = "an integer";
  static bool fits(const Json& v) {
    return v.is_number_integer() && (!v.is_number_unsigned() || v.get<uint64_t>() <= INT64_MAX);
  }
};
template <>
struct Kind<double> {
  static constexpr KeyType kType = KeyType::kNumber;
  static constexpr const char* kName = "a number";
  static bool fits(const Json& v) { return v.is_number(); }
};
template <>
struct Kind<bool> {
  static constexpr KeyType kType = KeyType::kBoolean;
  static constexpr const char* kName = "true or false";
  static bool fits(const Json& v) { return v.is_boolean(); }
};
template <>
struct Kind<std::vector<std::string>> {
  static constexpr KeyType kType = KeyType::kStrings;
  static constexpr const char* kName = "an array of strings";
  static bool fits(const Json& v) {
    return v.is_array() && std::all_of(v.begin(), v.end(), Kind<std::string>::fits);
  }
};
template <>
struct Kind<std::vector<int64_t>> {
  static constexpr KeyType kType = KeyType::kIntegers;
  static constexpr const char* kName = "an array of integers";
  static bool fits(const Json& v) {
    return v.is_array() && std::all_of(v.begin(), v.end(), Kind<int64_t>::fits);
  }
};

}  // namespace

const Key* Record::find(std::string_view key) const {
  if (each) return &*each;
  const auto it =
      std::find_if(keys.begin(), keys.end(), [&](const Key& known) { return known.name == key; });
  return it == keys.end() ? nullptr : &*it;
}

Fields::Fields(const Json& object, Source source, std::string path)
    : object_(object), source_(std::move(source)), path_(std::move(path)) {
  if (!object_.is_object()) {
    throw Error(source_.code, fmt::format("{}: {} must be a table, not {}", source_.file,
                                          path_.empty() ? "the document" : "`" + path_ + "`",
                                          object_.type_name()));
  }
}

std::string Fields::path_of(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

const Json* Fields::find(const std::string& key) {
  if (source_.record != nullptr) declared(key);
  known_.push_back(key);
  const auto it = object_.find(key);
  return it == object_.end() ? nullptr : &*it;
}

const Key& Fields::declared(const std::string& key) const {
  const Key* known = source_.record == nullptr ? nullptr : source_.record->find(key);
  if (known == nullptr) throw std::logic_error("no record declares `" + path_of(key) + "`");
  return *known;
}

void Fields::expect(const std::string& key, KeyType type) const {
  if (source_.record != nullptr && declared(key).type != type)
    throw std::logic_error("`" + path_of(key) + "` is declared with another type than it is read");
}

bool Fields::in_bounds(const std::string& key, double value) const {
  const Key& known = declared(key);
  return std::isfinite(value) && (!known.least || value >= *known.least) &&
         (!known.above || value > *known.above) && (!known.most || value <= *known.most);
}

Fields::Source Fields::source_of(const std::string& key) const {
  Source source = source_;
  if (source.record != nullptr) source.record = declared(key).record;
  return source;
}

void Fields::fail(const std::string& key, const std::string& message, std::string hint) const {
  std::string where = source_.file;
  if (source_.lines != nullptr) {
    auto it = source_.lines->find(path_of(key));
    // A missing key has no line; its table has one.
    if (it == source_.lines->end() && !path_.empty()) it = source_.lines->find(path_);
    if (it != source_.lines->end() && it->second > 0) where += fmt::format(":{}", it->second);
  }
  throw Error(source_.code, fmt::format("{}: `{}` {}", where, escaped(path_of(key), 80), message),
              std::move(hint));
}

template <typename T>
std::optional<T> Fields::get(const std::string& key, bool required) {
  expect(key, Kind<T>::kType);
  if (source_.record != nullptr && declared(key).required != required)
    throw std::logic_error("`" + path_of(key) + "` is required in one place only");
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!Kind<T>::fits(*value)) {
    fail(key, fmt::format("must be {}, not {}", Kind<T>::kName, escaped(to_line(*value), 60)));
  }
  return value->get<T>();
}

template <typename T>
std::optional<T> Fields::optional(const std::string& key) {
  return get<T>(key, false);
}

template <typename T>
T Fields::required(const std::string& key) {
  std::optional<T> value = get<T>(key, true);
  if (!value) fail(key, "is missing", fmt::format("add {} = ({})", key, Kind<T>::kName));
  return *std::move(value);
}

#define MOECOLLAB_FIELD_TYPE(T)                                      \
  template std::optional<T> Fields::optional<T>(const std::string&); \
  template T Fields::required<T>(const std::string&)
MOECOLLAB_FIELD_TYPE(std::string);
MOECOLLAB_FIELD_TYPE(int64_t);
MOECOLLAB_FIELD_TYPE(double);
MOECOLLAB_FIELD_TYPE(bool);
MOECOLLAB_FIELD_TYPE(std::vector<std::string>);
MOECOLLAB_FIELD_TYPE(std::vector<int64_t>);
#undef MOECOLLAB_FIELD_TYPE

std::optional<Fields> Fields::table(const std::string& key) {
  expect(key, KeyType::kTable);
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) fail(key, fmt::format("must be a table, not {}", value->type_name()));
  return Fields(*value, source_of(key), path_of(key));
}

std::vector<Fields> Fields::tables(const std::string& key) {
  expect(key, KeyType::kTables);
  std::vector<Fields> result;
  const Json* value = find(key);
  if (value == nullptr) return result;
  if (!value->is_array())
    fail(key, fmt::format("must be an array of tables ([[{}]]), not {}", key, value->type_name()));
  for (size_t i = 0; i < value->size(); ++i) {
    result.emplace_back((*value)[i], source_of(key), fmt::format("{}[{}]", path_of(key), i));
  }
  return result;
}

Json Fields::any(const std::string& key) {
  const Json* value = find(key);
  return value == nullptr ? Json() : *value;
}

std::vector<std::string> Fields::keys() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.items()) names.push_back(name);
  return names;
}

void Fields::finish() const {
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      fail(key, "is not a known key" + did_you_mean(key, known_));
    }
  }
  if (source_.record == nullptr) return;
  for (const Key& key : source_.record->keys) {
    if (std::find(known_.begin(), known_.end(), key.name) == known_.end())
      throw std::logic_error("nobody reads `" + path_of(key.name) + "`, which is declared");
  }
}

}  // namespace moecollab
