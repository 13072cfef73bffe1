#include "registry/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <vector>

#include "base/strings.h"
#include "registry/shapes.h"

namespace moecollab::registry {
namespace {

constexpr size_t kMaxName = 64;
constexpr size_t kMaxId = 255;
constexpr size_t kMaxSpaceVersion = 9;  // digits
constexpr size_t kDigestDigits = 64;

bool consists_of(std::string_view text, std::string_view alphabet) {
  return text.find_first_not_of(alphabet) == std::string_view::npos;
}

void expect_shape(const Fields& fields, const std::string& key, const Shape& shape) {
  if (fields.record() != nullptr && fields.declared(key).shape != &shape)
    throw std::logic_error("`" + key + "` is declared with another shape than it is read");
}

std::string checked(Fields& fields, const std::string& key, const Shape& shape,
                    std::string_view allowed) {
  expect_shape(fields, key, shape);
  auto value = fields.required<std::string>(key);
  if (!shape.fits(value)) {
    fields.fail(key, fmt::format("must be {}, not \"{}\"", allowed, escaped(value, 80)));
  }
  return value;
}

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName &&
         consists_of(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
}

bool is_id(std::string_view text) {
  if (text.size() > kMaxId || text.find('.') == std::string_view::npos) return false;
  while (true) {
    const size_t dot = text.find('.');
    if (!is_name(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_label_space(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view name = text.substr(0, slash), version = text.substr(slash + 1);
  return (is_name(name) || is_id(name)) && !version.empty() && version.size() <= kMaxSpaceVersion &&
         version[0] != '0' && consists_of(version, "0123456789");
}

bool is_digest(std::string_view text) {
  return text.size() == kDigestDigits && consists_of(text, "0123456789abcdef");
}

bool has_control(std::string_view utf8) {
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<unsigned char>(utf8[i]);
    if (byte < 0x20 || byte == 0x7F) return true;
    // The second byte of a two-byte sequence C2 xx is the code point itself up to U+00BF.
    if (byte == 0xC2 && i + 1 < utf8.size() && static_cast<unsigned char>(utf8[i + 1]) < 0xA0) {
      return true;
    }
  }
  return false;
}

bool parse_abi_version(const std::string& text, int& major, int& minor) {
  const size_t dot = text.find('.');
  if (dot == std::string::npos) return false;
  const auto number = [](std::string_view part, int& into) {
    if (part.empty() || part[0] == '-' || (part.size() > 1 && part[0] == '0')) return false;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), into);
    return error == std::errc() && end == part.data() + part.size();
  };
  const std::string_view whole = text;
  return number(whole.substr(0, dot), major) && number(whole.substr(dot + 1), minor);
}

std::string required_name(Fields& fields, const std::string& key) {
  return checked(fields, key, kNameShape, "1 to 64 of a-z, 0-9, _ and -");
}

std::string required_id(Fields& fields, const std::string& key) {
  return checked(fields, key, kIdShape,
                 "a reverse-DNS name of a-z, 0-9, _ and - (com.example.name)");
}

std::string required_label_space(Fields& fields, const std::string& key) {
  auto value = fields.required<std::string>(key);
  check_label_space(fields, key, value);
  return value;
}

std::string required_digest(Fields& fields, const std::string& key) {
  auto value = fields.required<std::string>(key);
  check_digest(fields, key, value);
  return value;
}

Version required_version(Fields& fields, const std::string& key) {
  expect_shape(fields, key, kVersionShape);
  const auto text = fields.required<std::string>(key);
  try {
    return Version::parse(text);
  } catch (const std::invalid_argument& error) {
    fields.fail(key, error.what());
  }
}

void check_label_space(const Fields& fields, const std::string& key, const std::string& value) {
  expect_shape(fields, key, kLabelSpaceShape);
  if (!is_label_space(value)) {
    fields.fail(key,
                fmt::format("must be a name, a slash and a version, as in emotion/1, not \"{}\"",
                            escaped(value, 80)));
  }
}

void check_digest(const Fields& fields, const std::string& key, const std::string& value) {
  expect_shape(fields, key, kDigestShape);
  if (is_digest(value)) return;
  const std::string shown = escaped(value, 80);
  if (value.starts_with("sha256:")) {
    fields.fail(key, fmt::format("is no SHA-256: \"{}\" has a prefix", shown),
                "write the 64 hexadecimal digits alone");
  }
  std::string lower = value;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (is_digest(lower)) {
    fields.fail(key, fmt::format("is no SHA-256: \"{}\" has uppercase digits", shown),
                "write " + lower);
  }
  fields.fail(key,
              fmt::format("is no SHA-256: \"{}\" is not {} hexadecimal digits but {} characters",
                          shown, kDigestDigits, value.size()),
              "sha256sum prints the right form");
}

std::string choice(Fields& fields, const std::string& key, const std::string& fallback) {
  auto value = fields.value_or<std::string>(key, fallback);
  check_choice(fields, key, value);
  return value;
}

void check_choice(const Fields& fields, const std::string& key, const std::string& value) {
  const Key& known = fields.declared(key);
  std::vector<std::string> words = known.words;
  words.insert(words.end(), known.later_words.begin(), known.later_words.end());
  if (std::find(words.begin(), words.end(), value) != words.end()) return;
  fields.fail(key, fmt::format("must be one of {}, not \"{}\"{}", join(words, ", "),
                               escaped(value, 60), did_you_mean(value, words)));
}

// Silence about a key that guards something would be worse than a refusal.
void refuse_later_keys(Fields& fields) {
  if (fields.record() == nullptr) return;
  for (const Key& key : fields.record()->keys) {
    if (key.later && !fields.any(key.name).is_null())
      fields.fail(key.name, "is not in this version", "remove the key");
  }
}

void check_schema(Fields& root) {
  const auto schema = root.required<int64_t>("schema");
  if (schema != 1) root.fail("schema", fmt::format("is {}; this version reads 1", schema));
}

}  // namespace moecollab::registry
