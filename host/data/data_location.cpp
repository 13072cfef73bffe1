#include "data/data_location.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::data {
namespace {

const std::vector<std::string> kSplits = {"train", "dev", "test"};
constexpr const char* kTestElseDev = "test-else-dev";
constexpr size_t kMaxDomainName = 64;

// The splits to look for, in this order.
std::vector<std::string> wanted_splits(const std::string& split, const std::string& default_split) {
  const std::string& name = split.empty() ? default_split : split;
  if (split.empty() && name == kTestElseDev) return {"test", "dev"};
  if (std::ranges::count(kSplits, name) == 0) {
    throw Error("E_CONFIG",
                fmt::format("`{}` is no split{}", escaped(name, 40), did_you_mean(name, kSplits)),
                "the splits are " + join(kSplits, ", "));
  }
  return {name};
}

std::string extension(Format format) {
  if (format == Format::kCsv) return ".csv";
  return format == Format::kTsv ? ".tsv" : ".jsonl";
}

std::vector<fs::path> domain_folders(const fs::path& dir) {
  std::error_code error;
  fs::directory_iterator entries(dir, error);
  std::vector<fs::path> folders;
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const fs::path& path = entries->path();
    std::error_code ignored;
    if (!path.filename().string().starts_with('.') && fs::is_directory(path, ignored)) {
      folders.push_back(path);
    }
  }
  if (error) {
    throw Error("E_DATA",
                fmt::format("{} cannot be read: {}", escaped(dir.string()), error.message()),
                "--data-dir names a folder with a folder for each domain");
  }
  return folders;
}

std::optional<DataFile> find_split(const fs::path& folder, const std::vector<std::string>& splits,
                                   const std::string& extension) {
  for (const std::string& split : splits) {
    const fs::path path = folder / (split + extension);
    std::error_code ignored;
    if (fs::exists(path, ignored)) return DataFile{folder.filename().string(), path, split};
  }
  return std::nullopt;
}

std::vector<DataFile> locate_in_folder(const DataOptions& options,
                                       const std::vector<std::string>& splits, Log log) {
  const std::string looked_for =
      fmt::format("{}{}", fmt::join(splits, extension(options.reading.format) + " or "),
                  extension(options.reading.format));
  std::vector<DataFile> files;
  std::vector<std::string> without;
  for (const fs::path& folder : domain_folders(options.dir)) {
    if (auto file = find_split(folder, splits, extension(options.reading.format))) {
      files.push_back(*std::move(file));
    } else {
      without.push_back(escaped(folder.filename().string(), 64));
    }
  }
  std::ranges::sort(without);
  if (files.empty()) {
    throw Error(
        "E_DATA",
        fmt::format("{}: no domain has {} (folders seen: {})", escaped(options.dir.string()),
                    looked_for, without.empty() ? "none" : escaped(join(without, ", "), 300)),
        "--data-dir expects <domain>/<split>" + extension(options.reading.format));
  }
  if (!without.empty()) {
    log.warning(fmt::format("left out for want of {}: {}", looked_for, join(without, ", ")));
  }
  return files;
}

DataFile parse_assignment(const std::string& text, const std::string& split) {
  const size_t equals = text.find('=');
  const std::string domain = text.substr(0, equals);
  const bool name_good =
      !domain.empty() && domain.size() <= kMaxDomainName && std::ranges::all_of(domain, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
      });
  if (equals == std::string::npos || equals + 1 == text.size() || !name_good) {
    throw Error("E_CONFIG",
                fmt::format("data {}: DOMAIN=FILE is expected, DOMAIN of at most {} letters, "
                            "digits, `_`, `-` and `.`",
                            escaped(text, 80), kMaxDomainName),
                "as in --data emotion=tweets.csv");
  }
  return {domain, text.substr(equals + 1), split};
}

}  // namespace

std::vector<DataFile> locate(const DataOptions& options, const std::string& default_split,
                             Log log) {
  const auto splits = wanted_splits(options.split, default_split);
  if (options.dir.empty() && options.files.empty()) {
    throw Error("E_CONFIG", "no data given: neither a folder nor files",
                "say --data-dir DIR (with <domain>/<split>.jsonl) or --data DOMAIN=FILE");
  }
  std::vector<DataFile> files;
  if (!options.dir.empty()) files = locate_in_folder(options, splits, log);
  for (const std::string& text : options.files) {
    files.push_back(parse_assignment(text, options.split));
  }
  std::ranges::sort(files, {},
                    [](const DataFile& file) { return std::pair(file.domain, file.path); });
  const auto twice = std::ranges::adjacent_find(files, {}, &DataFile::domain);
  if (twice != files.end()) {
    throw Error(
        "E_CONFIG",
        fmt::format("domain `{}` is given twice: {} and {}", escaped(twice->domain, 64),
                    escaped(twice->path.string()), escaped(std::next(twice)->path.string())),
        "give each domain one file");
  }
  return files;
}

}  // namespace moecollab::data
