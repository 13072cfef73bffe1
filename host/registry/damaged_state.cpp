#include "registry/damaged_state.h"

#include <fmt/format.h>

#include <string_view>

#include "base/error.h"
#include "base/toml.h"
#include "registry/layout.h"
#include "registry/lock.h"

namespace moecollab::registry {
namespace {

// None without a history, or with one that cannot be read: who reads it says what is wrong with it.
std::optional<HistoryEntry> last_change(const fs::path& registry) {
  try {
    return newest_entry(registry);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Nothing that a person would write: a file that was cut, or is of something else.
bool is_broken_lock(const fs::path& file) {
  try {
    parse_lock(read_file(file, "E_REG_IO", kMaxLock), kLockFile);
    return false;
  } catch (const Error&) {
    return true;
  }
}

bool is_broken_gate(const fs::path& file) {
  try {
    return !read_toml(file, "E_GATE", kMaxLock).root.contains("schema");
  } catch (const Error&) {
    return true;
  }
}

// Files of the gate that are not those of its gate.toml, which the last change left. What only
// trainings and growth read may be removed by a person.
void add_gate_files(const HistoryEntry& last, const StateDigests& present,
                    std::vector<std::string>& damaged) {
  for (const char* file : kStateFiles) {
    if (!std::string_view(file).starts_with(kGateFolder) || file == std::string_view(kGateText) ||
        !last.after.contains(file))
      continue;
    const std::string there = digest_or_none(present, file);
    const bool may_be_missing = file != std::string_view(kGateTensors);
    if (there != last.after.at(file) && !(there.empty() && may_be_missing)) damaged.push_back(file);
  }
}

std::vector<std::string> damaged_since(const HistoryEntry& last, const fs::path& registry) {
  const StateDigests present = present_state(registry);
  std::vector<std::string> damaged;
  if (last.after.contains(kLockFile) &&
      (!present.contains(kLockFile) || is_broken_lock(registry / kLockFile)))
    damaged.push_back(kLockFile);
  if (!present.contains(kGateText) || !last.after.contains(kGateText)) return damaged;
  const bool is_last = present.at(kGateText) == last.after.at(kGateText);
  const bool is_broken = !is_last && is_broken_gate(registry / kGateText);
  if (is_broken) damaged.push_back(kGateText);
  if (is_last || is_broken) add_gate_files(last, present, damaged);
  return damaged;
}

}  // namespace

std::vector<std::string> damaged_files(const fs::path& registry) {
  const std::optional<HistoryEntry> last = last_change(registry);
  if (!last || pending_change(registry)) return {};
  std::vector<std::string> damaged = damaged_since(*last, registry);
  if (damaged.empty()) return damaged;
  const std::optional<HistoryEntry> now = last_change(registry);  // a change came between
  return now && now->number == last->number && !pending_change(registry) ? damaged
                                                                         : damaged_files(registry);
}

std::optional<std::string> kept_content(const fs::path& registry, const std::string& file) {
  const std::optional<HistoryEntry> last = last_change(registry);
  if (!last || !last->after.contains(file)) return std::nullopt;
  try {
    return read_object(registry, last->after.at(file));
  } catch (const Error&) {
    return std::nullopt;
  }
}

void put_back_damaged(const fs::path& registry, Log log) {
  for (const std::string& file : damaged_files(registry)) {
    const std::optional<std::string> content = kept_content(registry, file);
    if (!content) continue;
    const fs::path path = registry / file;
    std::string what = "was missing";
    if (fs::exists(path)) {
      const fs::path aside = path.string() + kDamaged;
      write_file_atomic(aside, read_file(path, "E_REG_IO"));
      what = fmt::format("was damaged ({} keeps what it was)", shown(aside));
    }
    write_file_atomic(path, *content);
    log.warning(fmt::format("{} {} and is put back as the last change left it", shown(path), what));
  }
}

std::optional<LostLock> lost_lock(const fs::path& registry) {
  std::error_code none;
  if (fs::exists(registry / kLockFile, none)) return std::nullopt;
  const std::optional<HistoryEntry> last = last_change(registry);
  if (!last || pending_change(registry) || !last->after.contains(kLockFile)) return std::nullopt;
  const std::string what = "registry.lock.toml, which the last change wrote, is missing: ";
  if (kept_content(registry, kLockFile))
    return LostLock{what + "the copy that the history has counts", kPutBackHint};
  return LostLock{what +
                      "of each expert the highest version that lies there counts, and trust in "
                      "what was trained here is lost",
                  "put it back from a back-up; or `moecollab experts lock` writes one by what lies "
                  "there"};
}

}  // namespace moecollab::registry
