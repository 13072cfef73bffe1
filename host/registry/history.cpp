#include "registry/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "registry/layout.h"
#include "registry/names.h"
#include "registry/registry_file.h"

namespace moecollab::registry {
namespace {

constexpr const char* kCode = "E_REG_HISTORY";
constexpr size_t kMaxEntry = size_t{1} << 20;  // bytes
constexpr size_t kDigits = 6;                  // of a change's file name, at least

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw Error(kCode, fmt::format("{}: {}", file, what),
              "take it from a back-up of the registry; without history/ the registry is what its "
              "files say, and nothing can be rolled back");
}

[[noreturn]] void fail_read(const fs::path& path, const std::error_code& error) {
  throw Error("E_REG_IO", fmt::format("{} cannot be read: {}", shown(path), error.message()));
}

bool is_there(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type == fs::file_type::not_found) return false;
  if (type == fs::file_type::none) fail_read(path, error);
  return true;
}

fs::path changes_folder(const fs::path& registry) { return registry / kHistoryFolder / "changes"; }

std::optional<int64_t> number_of(const fs::path& file) {
  const std::string stem = file.stem().string();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
  if (error != std::errc() || end != stem.data() + stem.size() || number < 1) return std::nullopt;
  if (file.extension() != ".json") return std::nullopt;
  return number;
}

// Ascending.
std::vector<int64_t> numbers(const fs::path& registry) {
  std::vector<int64_t> found;
  const fs::path folder = changes_folder(registry);
  if (!is_there(folder)) return found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (const auto number = number_of(entry->path())) found.push_back(*number);
  if (error) fail_read(folder, error);
  std::ranges::sort(found);
  return found;
}

const Json& member(const Json& json, const char* key, bool (Json::*is)() const noexcept,
                   const std::string& file) {
  const auto found = json.find(key);
  if (found == json.end() || !((*found).*is)())
    fail(file, fmt::format("`{}` is missing or of another type", key));
  return *found;
}

StateDigests digests(const Json& json, const std::string& file) {
  StateDigests digests;
  for (const auto& [name, sha256] : json.items()) {
    if (std::ranges::find(kStateFiles, name) == kStateFiles.end())
      fail(file, fmt::format("{} is no file of a registry's state", escaped(name, 80)));
    if (!sha256.is_string() || !is_digest(sha256.get<std::string>()))
      fail(file, fmt::format("the digest of {} is no SHA-256", name));
    digests[name] = sha256.get<std::string>();
  }
  return digests;
}

HistoryEntry read_entry(const fs::path& path) {
  return parse_entry(read_file(path, kCode, kMaxEntry), shown(path));
}

}  // namespace

std::string digest_or_none(const StateDigests& state, const std::string& file) {
  const auto found = state.find(file);
  return found == state.end() ? "" : found->second;
}

std::vector<std::string> changed_files(const StateDigests& before, const StateDigests& after) {
  std::vector<std::string> files;
  for (const char* file : kStateFiles)
    if (digest_or_none(before, file) != digest_or_none(after, file)) files.push_back(file);
  return files;
}

Json HistoryEntry::to_json() const {
  return {{"number", number},        {"time", time},          {"who", who},
          {"command", note.command}, {"reason", note.reason}, {"passive", note.passive},
          {"before", before},        {"after", after}};
}

fs::path state_path(const fs::path& registry, const std::string& file) {
  return file == kRegistryFile ? registry_path(registry) : registry / file;
}

StateDigests present_state(const fs::path& registry) {
  StateDigests digests;
  for (const char* file : kStateFiles) {
    const fs::path path = state_path(registry, file);
    if (is_there(path)) digests[file] = file_sha256_hex(path, "E_REG_IO");
  }
  return digests;
}

int64_t newest_change(const fs::path& registry) {
  const std::vector<int64_t> all = numbers(registry);
  return all.empty() ? 0 : all.back();
}

std::optional<HistoryEntry> newest_entry(const fs::path& registry) {
  const int64_t number = newest_change(registry);
  return number == 0 ? std::nullopt : std::optional(read_entry(change_file(registry, number)));
}

std::vector<HistoryEntry> read_history(const fs::path& registry) {
  std::vector<HistoryEntry> entries;
  for (const int64_t number : numbers(registry)) {
    entries.push_back(read_entry(change_file(registry, number)));
    if (entries.back().number != number)
      fail(shown(change_file(registry, number)),
           fmt::format("it says that it is change {}", entries.back().number));
  }
  return entries;
}

std::optional<HistoryEntry> pending_change(const fs::path& registry) {
  const fs::path path = pending_file(registry);
  try {
    return is_there(path) ? std::optional(read_entry(path)) : std::nullopt;
  } catch (const Error&) {
    if (is_there(path)) throw;
    return std::nullopt;  // it was finished meanwhile
  }
}

fs::path change_file(const fs::path& registry, int64_t number) {
  return changes_folder(registry) / fmt::format("{:0{}}.json", number, kDigits);
}

fs::path pending_file(const fs::path& registry) {
  return registry / kHistoryFolder / "pending.json";
}

fs::path object_file(const fs::path& registry, const std::string& sha256) {
  return registry / kHistoryFolder / "objects" / sha256;
}

std::string read_object(const fs::path& registry, const std::string& sha256) {
  const fs::path path = object_file(registry, sha256);
  if (!is_there(path))
    fail(shown(path),
         "the content of this state is no longer kept (`experts gc` removes old ones)");
  std::string bytes = read_file(path, kCode);
  if (sha256_hex(bytes) != sha256) fail(shown(path), "it is damaged: its SHA-256 is not its name");
  return bytes;
}

HistoryEntry parse_entry(const std::string& bytes, const std::string& file) {
  Json json;
  try {
    json = parse_json(bytes);
  } catch (const std::invalid_argument& error) {
    fail(file, error.what());
  }
  if (!json.is_object()) fail(file, "it is no JSON object");
  HistoryEntry entry;
  entry.number = member(json, "number", &Json::is_number_integer, file).get<int64_t>();
  if (entry.number < 1) fail(file, "`number` is below 1");
  entry.time = member(json, "time", &Json::is_string, file).get<std::string>();
  entry.who = member(json, "who", &Json::is_string, file).get<std::string>();
  entry.note.command = member(json, "command", &Json::is_string, file).get<std::string>();
  entry.note.reason = member(json, "reason", &Json::is_string, file).get<std::string>();
  if (json.contains("passive"))  // not in entries of 0.3.0 and before
    entry.note.passive = member(json, "passive", &Json::is_boolean, file).get<bool>();
  entry.before = digests(member(json, "before", &Json::is_object, file), file);
  entry.after = digests(member(json, "after", &Json::is_object, file), file);
  if (!entry.after.contains(kRegistryFile)) fail(file, "it leaves no registry.toml");
  return entry;
}

}  // namespace moecollab::registry
