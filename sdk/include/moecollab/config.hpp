// Single values of the flat JSON object that a manifest's [config] table becomes. C++17.
#ifndef MOECOLLAB_CONFIG_HPP_
#define MOECOLLAB_CONFIG_HPP_

#include <cctype>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace moecollab {
namespace detail {

inline size_t skip_space(std::string_view text, size_t i) {
  while (i < text.size() && std::isspace(static_cast<unsigned char>(text[i]))) ++i;
  return i;
}

// Calls visit(key, text of its value) for each key of a JSON object that the host made (so it is
// well-formed); the text is complete for numbers, literals and strings without comma and brace.
template <typename Visit>
void for_each_setting(std::string_view object, Visit&& visit) {
  int depth = 0;
  for (size_t i = 0; i < object.size(); ++i) {
    const char c = object[i];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != '"') continue;
    const size_t start = i + 1;
    for (++i; i < object.size() && object[i] != '"'; ++i) {
      if (object[i] == '\\') ++i;
    }
    const size_t colon = skip_space(object, i + 1);
    if (depth != 1 || colon >= object.size() || object[colon] != ':') continue;
    const size_t first = skip_space(object, colon + 1);
    const size_t last = object.find_first_of(",}", first);
    visit(object.substr(start, i - start),
          object.substr(first, last == std::string_view::npos ? last : last - first));
  }
}

}  // namespace detail

// A number of [config], or fallback if the key is absent; std::invalid_argument for anything else
// or outside [low, high].
inline double config_number(std::string_view config, std::string_view key, double fallback,
                            double low, double high) {
  std::string text;
  detail::for_each_setting(config, [&](std::string_view name, std::string_view value) {
    if (name == key) text = std::string(value);
  });
  if (text.empty()) return fallback;
  std::istringstream in(text);
  in.imbue(std::locale::classic());  // whatever the host's locale, JSON has a point
  double value = 0;
  if (!(in >> value) || !(value >= low && value <= high)) {
    throw std::invalid_argument("config." + std::string(key) + " = " + text +
                                " is not a number in [" + std::to_string(low) + ", " +
                                std::to_string(high) + "]");
  }
  return value;
}

// The same for a whole number.
inline int64_t config_integer(std::string_view config, std::string_view key, int64_t fallback,
                              int64_t low, int64_t high) {
  const double value = config_number(config, key, static_cast<double>(fallback),
                                     static_cast<double>(low), static_cast<double>(high));
  if (value != std::floor(value)) {
    throw std::invalid_argument("config." + std::string(key) + " = " + std::to_string(value) +
                                " is not a whole number");
  }
  return static_cast<int64_t>(value);
}

// The same for a string without quotes, commas and braces; `fallback` also if the value is no
// string.
inline std::string config_word(std::string_view config, std::string_view key,
                               std::string fallback) {
  detail::for_each_setting(config, [&](std::string_view name, std::string_view value) {
    if (name != key || value.size() < 2 || value.front() != '"') return;
    fallback = std::string(value.substr(1, value.find('"', 1) - 1));
  });
  return fallback;
}

// std::invalid_argument for a key that is not in `known`: a mistyped setting must not be ignored.
inline void config_allow(std::string_view config, std::initializer_list<std::string_view> known) {
  detail::for_each_setting(config, [&](std::string_view name, std::string_view) {
    std::string all;
    for (const std::string_view key : known) {
      if (name == key) return;
      all += (all.empty() ? "" : ", ") + std::string(key);
    }
    throw std::invalid_argument("config." + std::string(name) +
                                " is no setting; there are: " + all);
  });
}

}  // namespace moecollab

#endif  // MOECOLLAB_CONFIG_HPP_
