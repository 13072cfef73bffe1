#include "registry/damaged_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
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

bool is_toml(const fs::path& file) {
  try {
    read_toml(file, "E_GATE", kMaxLock);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::vector<std::string> damaged_since(const HistoryEntry& last, const fs::path& registry) {
  const StateDigests present = present_state(registry);
  std::vector<std::string> damaged;
  if (!present.contains(kLockFile) && last.after.contains(kLockFile)) damaged.push_back(kLockFile);
  if (!present.contains(kGateText) || !last.after.contains(kGateText)) return damaged;
  if (present.at(kGateText) != last.after.at(kGateText)) {
    if (!is_toml(registry / kGateText)) damaged.push_back(kGateText);
    return damaged;
  }
  for (const char* file : kStateFiles) {
    if (!std::string_view(file).starts_with(kGateFolder)) continue;
    if (digest_or_none(present, file) != digest_or_none(last.after, file) &&
        last.after.contains(file))
      damaged.push_back(file);
  }
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
    const char* what = fs::exists(registry / file) ? "was damaged" : "was missing";
    write_file_atomic(registry / file, *content);
    log.warning(fmt::format("{} {} and is put back as the last change left it",
                            shown(registry / file), what));
  }
}

std::optional<LostLock> lost_lock(const fs::path& registry) {
  const std::vector<std::string> damaged = damaged_files(registry);
  if (std::ranges::find(damaged, kLockFile) == damaged.end()) return std::nullopt;
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
