#include "data/split_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/strings.h"
#include "data/clean_text.h"

namespace moecollab::data {
namespace {

constexpr std::array<std::string_view, 5> kSplitExtensions = {"jsonl", "ndjson", "json", "csv",
                                                              "tsv"};
constexpr std::array<std::string_view, 3> kPackings = {"", ".gz", ".zst"};
constexpr size_t kNamesShown = 5;

std::vector<std::string_view> extensions_of(Format format) {
  std::vector<std::string_view> found;
  for (const std::string_view extension : kSplitExtensions) {
    if (format == Format::kAuto || format_of(fmt::format("x.{}", extension)) == format)
      found.push_back(extension);
  }
  return found;
}

// What a split's files are called.
bool is_name_of(std::string_view name, std::string_view split) {
  if (name == split) return true;
  return split == "dev" && (name == "validation" || name == "valid" || name == "val");
}

// Whether the file's name is one of the split's, a dot, one of the extensions and perhaps a
// packing.
bool is_split(const std::string& file, std::string_view split,
              const std::vector<std::string_view>& extensions) {
  const std::string name = ascii_lower(file);
  const size_t dot = name.find('.');
  if (dot == std::string::npos || !is_name_of(std::string_view(name).substr(0, dot), split))
    return false;
  const std::string_view rest = std::string_view(name).substr(dot + 1);
  return std::ranges::any_of(extensions, [&](std::string_view extension) {
    return rest.starts_with(extension) &&
           std::ranges::count(kPackings, rest.substr(extension.size())) == 1;
  });
}

// Sorted; empty with `error` set if the folder cannot be read.
std::vector<std::string> names_of_files(const fs::path& folder, std::error_code& error) {
  std::vector<std::string> names;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::error_code ignored;
    const std::string name = entries->path().filename().string();
    if (!name.starts_with('.') && !fs::is_directory(entries->path(), ignored))
      names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

[[noreturn]] void fail_two(const fs::path& folder, const std::string& split,
                           const std::vector<std::string>& names) {
  throw Error("E_CONFIG",
              fmt::format("{} has {} files that could be the split {}: {}", shown(folder),
                          names.size(), split, escaped(join(names, ", "), 300)),
              "keep one of them; if their formats differ, --format says which one counts");
}

}  // namespace

std::optional<SplitFile> find_split(const fs::path& folder, const std::vector<std::string>& splits,
                                    Format format) {
  const std::vector<std::string_view> extensions = extensions_of(format);
  std::error_code error;
  const std::vector<std::string> names = names_of_files(folder, error);
  if (error)
    throw Error("E_DATA", fmt::format("{} cannot be read: {}", shown(folder), error.message()));
  for (const std::string& split : splits) {
    std::vector<std::string> found;
    for (const std::string& name : names) {
      if (is_split(name, split, extensions)) found.push_back(name);
    }
    if (found.size() > 1) fail_two(folder, split, found);
    if (found.size() == 1) return SplitFile{split, folder / found.front()};
  }
  return std::nullopt;
}

std::string looked_for(const std::vector<std::string>& splits, Format format) {
  const std::vector<std::string_view> extensions = extensions_of(format);
  if (extensions.empty())
    throw Error("E_CONFIG", "lines of plain text hold no labels", "name files of another format");
  std::vector<std::string> patterns;
  for (const std::string& split : splits) {
    patterns.push_back(extensions.size() == 1
                           ? fmt::format("{}.{}", split, extensions.front())
                           : fmt::format("{}.{{{}}}", split, fmt::join(extensions, ",")));
  }
  return join(patterns, " or ");
}

std::string files_there(const fs::path& folder) {
  std::error_code ignored;
  std::vector<std::string> names = names_of_files(folder, ignored);
  if (names.empty()) return "no file";
  const bool more = names.size() > kNamesShown;
  if (more) names.resize(kNamesShown);
  return escaped(join(names, ", "), 160) + (more ? ", …" : "");
}

}  // namespace moecollab::data
