// Single values of the flat JSON object that a manifest's [config] table becomes. C++17.
#ifndef MOECOLLAB_CONFIG_HPP_
#define MOECOLLAB_CONFIG_HPP_

#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace moecollab {
namespace detail {

// The text of key's value in a JSON object that the host made (so it is well-formed), or "".
inline std::string_view config_value(std::string_view object, std::string_view key) {
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
    size_t colon = i + 1;
    while (colon < object.size() && std::isspace(static_cast<unsigned char>(object[colon])))
      ++colon;
    if (depth != 1 || object.substr(start, i - start) != key || colon >= object.size() ||
        object[colon] != ':') {
      continue;
    }
    size_t first = colon + 1;
    while (first < object.size() && std::isspace(static_cast<unsigned char>(object[first])))
      ++first;
    const size_t last = object.find_first_of(",}", first);
    return object.substr(first, last == std::string_view::npos ? last : last - first);
  }
  return {};
}

}  // namespace detail

// A number of [config], or fallback if the key is absent; std::invalid_argument for anything else
// or outside [low, high].
inline double config_number(std::string_view config, std::string_view key, double fallback,
                            double low, double high) {
  const std::string text(detail::config_value(config, key));
  if (text.empty()) return fallback;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !(value >= low && value <= high)) {
    throw std::invalid_argument("config." + std::string(key) + " = " + text +
                                " is not a number in [" + std::to_string(low) + ", " +
                                std::to_string(high) + "]");
  }
  return value;
}

}  // namespace moecollab

#endif  // MOECOLLAB_CONFIG_HPP_
