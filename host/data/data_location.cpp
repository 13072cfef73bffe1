#include "data/data_location.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "data/domain_name.h"
#include "data/split_files.h"

namespace moecollab::data {
namespace {

const std::vector<std::string> kSplits = {"train", "dev", "test"};
constexpr const char* kTestElseDev = "test-else-dev";

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
  std::ranges::sort(folders);
  return folders;
}

// Throws E_CONFIG if two folders have the same name here: their splits would pass for one domain's.
void refuse_equal_names(const std::vector<fs::path>& folders) {
  std::map<std::string, fs::path> seen;
  for (const fs::path& folder : folders) {
    const auto name = find_domain_name(folder.filename().string());
    if (!name) continue;
    const auto [first, fresh] = seen.emplace(*name, folder);
    if (fresh) continue;
    throw Error("E_CONFIG",
                fmt::format("the folders {} and {} are both domain {}", shown(first->second),
                            shown(folder), *name),
                "rename one of them");
  }
}

[[noreturn]] void fail_no_split(const DataOptions& options, const std::vector<std::string>& splits,
                                const std::vector<std::string>& without) {
  const std::string seen = without.empty() ? "none" : join(without, "; ");
  std::string hint = "--data-dir expects <domain>/<split>.jsonl, or another of these extensions";
  if (const auto here = find_split(options.dir, splits, options.reading.format)) {
    hint = fmt::format(
        "{} is one domain's: name it with --data DOMAIN=FILE, or name the folder "
        "above with --data-dir",
        shown(here->path));
  }
  throw Error("E_DATA",
              fmt::format("{}: no domain has {} (folders seen: {})", shown(options.dir),
                          looked_for(splits, options.reading.format), seen),
              hint);
}

Reading reading_of(const DataOptions& options, const std::string& domain) {
  const auto stated = options.of_domains.find(domain);
  return stated == options.of_domains.end() ? options.reading
                                            : overlaid(stated->second, options.reading);
}

// The split of one domain's folder, if it has it.
std::optional<DataFile> file_of_domain(const DataOptions& options, const fs::path& folder,
                                       const std::vector<std::string>& splits) {
  const std::string given = folder.filename().string();
  auto found = find_split(folder, splits, options.reading.format);
  if (!found) return std::nullopt;
  const std::string name = domain_name(given, "the folder " + shown(folder));
  return DataFile{name, std::move(found->path), std::move(found->split), given,
                  reading_of(options, name)};
}

// The domains that have the split. `without` receives the others, and what they have, or why they
// cannot be a domain. Throws what is wrong with a folder if no other one is good.
std::vector<DataFile> files_of_domains(const DataOptions& options,
                                       const std::vector<std::string>& splits,
                                       std::vector<std::string>& without) {
  const std::vector<fs::path> folders = domain_folders(options.dir);
  refuse_equal_names(folders);
  std::vector<DataFile> files;
  std::optional<Error> first;
  for (const fs::path& folder : folders) {
    try {
      if (auto file = file_of_domain(options, folder, splits)) {
        files.push_back(*std::move(file));
      } else {
        without.push_back(
            fmt::format("{} ({})", escaped(folder.filename().string(), 64), files_there(folder)));
      }
    } catch (const Error& error) {
      if (!first) first = error;
      without.emplace_back(error.what());
    }
  }
  if (files.empty() && first) throw *first;
  return files;
}

std::vector<DataFile> locate_in_folder(const DataOptions& options,
                                       const std::vector<std::string>& splits, Log log) {
  const std::string pattern = looked_for(splits, options.reading.format);
  std::vector<std::string> without;
  std::vector<DataFile> files = files_of_domains(options, splits, without);
  if (files.empty()) fail_no_split(options, splits, without);
  if (!without.empty())
    log.warning(fmt::format("left out for want of {}: {}", pattern, join(without, "; ")));
  return files;
}

using SetReading = void (*)(Reading&, const std::string& value);

std::vector<std::string> names_between_plus(std::string value, const char* key) {
  std::ranges::replace(value, '+', ',');
  return parse_names(value, key);
}

int64_t whole_number(const std::string& value) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc() && end == value.data() + value.size()) return number;
  throw Error("E_CONFIG",
              fmt::format("label-base is `{}`, expected a whole number", escaped(value, 40)));
}

constexpr std::pair<std::string_view, SetReading> kOwnOptions[] = {
    {"format", [](Reading& r, const std::string& v) { r.format = parse_format(v); }},
    {"quoting", [](Reading& r, const std::string& v) { r.quoting = parse_quoting(v); }},
    {"text-column", [](Reading& r, const std::string& v) { r.columns.text = v; }},
    {"label-column", [](Reading& r, const std::string& v) { r.columns.label = v; }},
    {"id-column", [](Reading& r, const std::string& v) { r.columns.id = v; }},
    {"label-base",
     [](Reading& r, const std::string& v) { r.columns.label_base = whole_number(v); }},
    {"label-names",
     [](Reading& r, const std::string& v) {
       r.columns.label_names = v.find('+') == std::string::npos
                                   ? read_label_names(v)
                                   : names_between_plus(v, "label-names");
     }},
    {"columns",
     [](Reading& r, const std::string& v) { r.columns.names = names_between_plus(v, "columns"); }},
    {"join",
     [](Reading& r, const std::string& v) { r.columns.join = names_between_plus(v, "join"); }}};

// A file's name may hold a comma and an equals sign, but one that does not exist was meant
// otherwise.
[[noreturn]] void refuse_own_option(const std::string& file, std::string_view key) {
  std::vector<std::string> known;
  for (const auto& [name, set] : kOwnOptions) known.emplace_back(name);
  throw Error("E_CONFIG",
              fmt::format("data {}: there is no such file, and `{}` is no way of reading one{}",
                          escaped(file, 120), escaped(key, 40), did_you_mean(key, known)),
              "after a file's name may stand " + join(known, "=…, ") + "=…; lists have + between");
}

// Takes `,KEY=VALUE` off the end of a file's name, as long as KEY is one of these.
Reading take_own_options(std::string& file, Reading reading) {
  while (true) {
    const size_t comma = file.rfind(',');
    const size_t equals = file.find('=', comma == std::string::npos ? file.size() : comma);
    if (equals == std::string::npos) return reading;
    const std::string_view key = std::string_view(file).substr(comma + 1, equals - comma - 1);
    const auto* option =
        std::ranges::find(kOwnOptions, key, &std::pair<std::string_view, SetReading>::first);
    if (option == std::end(kOwnOptions)) {
      if (!fs::exists(file)) refuse_own_option(file, key);
      return reading;
    }
    option->second(reading, file.substr(equals + 1));
    file.resize(comma);
  }
}

DataFile parse_assignment(const std::string& text, const DataOptions& options) {
  const size_t equals = text.find('=');
  const std::string given = text.substr(0, equals);
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw Error("E_CONFIG", fmt::format("data {}: DOMAIN=FILE is expected", escaped(text, 80)),
                "as in --data emotion=tweets.csv");
  }
  const std::string what = fmt::format("`{}` of data {}", escaped(given, 80), escaped(text, 80));
  std::string domain = domain_name(given, what);
  std::string file = text.substr(equals + 1);
  Reading reading = take_own_options(file, reading_of(options, domain));
  return {std::move(domain), std::move(file), options.split, given, std::move(reading)};
}

void refuse_domain_twice(const std::vector<DataFile>& sorted) {
  const auto twice = std::ranges::adjacent_find(sorted, {}, &DataFile::domain);
  if (twice == sorted.end()) return;
  throw Error("E_CONFIG",
              fmt::format("domain `{}` is given twice: {} and {}", twice->domain,
                          shown(twice->path), shown(std::next(twice)->path)),
              "give each domain one file");
}

void tell_new_names(const std::vector<DataFile>& files, Log log) {
  std::vector<std::string> renamed;
  for (const DataFile& file : files) {
    if (file.given != file.domain)
      renamed.push_back(fmt::format("{} is domain {}", file.given, file.domain));
  }
  if (!renamed.empty()) log.note(join(renamed, ", "));
}

}  // namespace

std::vector<DataFile> locate(const DataOptions& options, const std::string& default_split,
                             Log log) {
  const auto splits = wanted_splits(options.split, default_split);
  if (options.dir.empty() && options.files.empty()) {
    throw Error("E_CONFIG", "no data given: neither a folder nor files",
                "say --data-dir DIR (with <domain>/<split>.jsonl, .csv, …) or --data DOMAIN=FILE");
  }
  std::vector<DataFile> files;
  if (!options.dir.empty()) files = locate_in_folder(options, splits, log);
  for (const std::string& text : options.files) {
    files.push_back(parse_assignment(text, options));
  }
  std::ranges::sort(files, {},
                    [](const DataFile& file) { return std::pair(file.domain, file.path); });
  refuse_domain_twice(files);
  tell_new_names(files, log);
  return files;
}

std::vector<DataFile> training_files(const DataOptions& options) {
  std::vector<std::string> without;
  if (options.dir.empty()) return {};
  return files_of_domains(options, {"train"}, without);
}

void require_training_folder(const DataOptions& options, const char* verb) {
  if (options.dir.empty() || !options.files.empty()) {
    throw Error("E_CONFIG",
                fmt::format("{} fits on training files and judges on others, so it needs a folder "
                            "with both",
                            verb),
                "give --data-dir alone");
  }
  if (options.split == "train") {
    throw Error("E_CONFIG", "--split train: experts or gates are fitted on these texts",
                "judge on dev or test");
  }
}

}  // namespace moecollab::data
