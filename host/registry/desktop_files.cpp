#include "registry/desktop_files.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace moecollab::registry {
namespace {

constexpr std::array<std::string_view, 4> kDesktopFiles = {".ds_store", ".directory", "thumbs.db",
                                                           "desktop.ini"};
constexpr std::string_view kAppleDouble = "._";  // what a file system cannot hold of NAME

}  // namespace

bool is_desktop_file(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower.starts_with(kAppleDouble) || std::ranges::count(kDesktopFiles, lower) > 0;
}

std::string removal_command(const fs::path& file) {
  std::string quoted;
  for (const char c : file.string()) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "rm '" + escaped(quoted, 400) + "'";
}

}  // namespace moecollab::registry
