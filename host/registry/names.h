// The shapes of names in registry files, and fields that must have them.
#pragma once

#include <string>
#include <string_view>

#include "base/fields.h"
#include "registry/semver.h"

namespace moecollab::registry {

// The code of every refusal that the schema of a registry file gives.
inline constexpr const char* kSchemaCode = "E_REG_SCHEMA";

// `[a-z0-9_-]{1,64}`: experts, domains; also folders, so it holds no dot and no slash.
bool is_name(std::string_view text);
// Reverse-DNS: two or more names joined by dots, at most 255 bytes, as in "com.example.clauses".
bool is_id(std::string_view text);
// "<name or id>/<version>", the version a positive number without leading zeros: "emotion/1".
bool is_label_space(std::string_view text);
// 64 lowercase hexadecimal digits.
bool is_digest(std::string_view text);
// Whether there is a control character: below U+0020, U+007F, U+0080 to U+009F.
bool has_control(std::string_view utf8);

// "0.9": two numbers without sign or leading zeros.
bool parse_abi_version(const std::string& text, int& major, int& minor);

// A required field of that shape; refused with what is allowed. A field that is declared otherwise
// is a bug (std::logic_error).
std::string required_name(Fields& fields, const std::string& key);
std::string required_id(Fields& fields, const std::string& key);
std::string required_label_space(Fields& fields, const std::string& key);
std::string required_digest(Fields& fields, const std::string& key);
Version required_version(Fields& fields, const std::string& key);
void check_label_space(const Fields& fields, const std::string& key, const std::string& value);
// Uppercase digits, a wrong length and a "sha256:" prefix are told apart.
void check_digest(const Fields& fields, const std::string& key, const std::string& value);

// One of the words that `key` is declared with, or `fallback` if it is absent; refused with the
// nearest. Words of later versions are taken here: the caller refuses them.
std::string choice(Fields& fields, const std::string& key, const std::string& fallback);
void check_choice(const Fields& fields, const std::string& key, const std::string& value);

// Refuses the keys that are declared for later versions.
void refuse_later_keys(Fields& fields);

// Refuses any `schema` but 1.
void check_schema(Fields& root);

}  // namespace moecollab::registry
