#include "registry/change.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "registry/damaged_state.h"
#include "registry/layout.h"

namespace moecollab::registry {
namespace {

constexpr const char* kStaging = ".new";  // history/.new.XXXXXX

std::string user() {
  std::vector<char> buffer(16384);
  passwd entry{}, *found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr)
    return found->pw_name;
  return std::to_string(::geteuid());
}

fs::path history_folder(const fs::path& registry) {
  const fs::path folder = registry / kHistoryFolder;
  make_folder(folder / "changes");
  make_folder(folder / "objects");
  return folder;
}

// With the lock held, what is being collected there is of a process that was killed.
void remove_staging(const fs::path& history) {
  std::error_code none;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(history, none))
    if (entry.path().filename().string().starts_with(kStaging)) left.push_back(entry.path());
  for (const fs::path& folder : left) fs::remove_all(folder, none);
}

void move_into_place(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error)
    throw Error("E_WRITE", fmt::format("{} cannot be written: {}", shown(to), error.message()));
}

[[noreturn]] void fail_edited(const fs::path& file) {
  throw Error(
      "E_REG_EDITED",
      fmt::format("{} was edited while the change was prepared; nothing is changed", shown(file)),
      "give the command again");
}

// A change that could not be carried out must not be decided.
void require_replaceable(const fs::path& file) {
  const fs::path folder = file.parent_path();
  fs::exists(folder) ? require_writable(file) : require_writable_folder(folder);
}

}  // namespace

FileLock lock_registry(const fs::path& folder, Log log) {
  return FileLock::wait(change_lock(folder), log);
}

Change::Change(fs::path folder, const FileLock& /*held*/, Log log)
    : folder_(std::move(folder)),
      log_(log),
      staging_((remove_staging(folder_ / kHistoryFolder), history_folder(folder_)), kStaging) {
  if (const std::optional<HistoryEntry> pending = pending_change(folder_)) {
    carry_out(*pending);
    log_.note(fmt::format("change {} of another process, which did not end, is finished: {}",
                          pending->number, pending->note.command));
  }
  put_back_damaged(folder_, log_);
  base_ = present_state(folder_);
}

void Change::put(const std::string& file, std::string_view bytes) {
  make_folder((staging() / file).parent_path());
  write_file_atomic(staging() / file, bytes);
  removed_.erase(file);
}

void Change::remove(const std::string& file) {
  std::error_code none;
  fs::remove(staging() / file, none);
  removed_.insert(file);
}

StateDigests Change::staged(StateDigests state) const {
  for (const std::string& file : removed_) state.erase(file);
  for (const char* file : kStateFiles) {
    if (fs::exists(staging() / file)) state[file] = file_sha256_hex(staging() / file, "E_REG_IO");
  }
  return state;
}

// Every content of both states lies in history/objects/ before the change is decided.
void Change::keep_contents(const HistoryEntry& entry) const {
  for (const auto& [file, sha256] : entry.before) keep(state_path(folder_, file), sha256);
  for (const auto& [file, sha256] : entry.after)
    if (fs::exists(staging() / file)) keep(staging() / file, sha256);
}

void Change::keep(const fs::path& file, const std::string& sha256) const {
  const fs::path object = object_file(folder_, sha256);
  if (fs::exists(object) && file_sha256_hex(object, "E_REG_HISTORY") == sha256) return;
  const std::string bytes = read_file(file, "E_REG_IO");
  if (sha256_hex(bytes) != sha256) fail_edited(file);
  write_file_atomic(object, bytes);
}

int64_t Change::commit(const ChangeNote& note) {
  HistoryEntry entry;
  entry.before = base_;
  entry.after = staged(base_);
  const std::vector<std::string> changed = changed_files(entry.before, entry.after);
  const std::vector<std::string> edited = changed_files(base_, present_state(folder_));
  if (!edited.empty()) fail_edited(state_path(folder_, edited.front()));
  if (changed.empty()) return 0;
  for (const std::string& file : changed) require_replaceable(state_path(folder_, file));
  entry.number = newest_change(folder_) + 1;
  entry.time = utc_now("%Y-%m-%dT%H:%M:%SZ");
  entry.who = user();
  entry.note = note;
  keep_contents(entry);
  try {
    write_file_atomic(pending_file(folder_), to_text(entry.to_json()));  // decided
    carry_out(entry);
  } catch (const Error& error) {
    if (!fs::exists(pending_file(folder_))) throw;
    throw Error(
        error.code(),
        fmt::format("change {} counts, but is not finished: {}", entry.number, error.what()),
        "when that is fixed, `moecollab experts lock` finishes it");
  }
  return entry.number;
}

// May be done again: a file is written if it is still the old one. One that is neither the old nor
// the new one was edited meanwhile, and stays.
void Change::carry_out(const HistoryEntry& entry) const {
  for (const std::string& file : changed_files(entry.before, entry.after)) {
    const fs::path path = state_path(folder_, file);
    const std::string there = fs::exists(path) ? file_sha256_hex(path, "E_REG_IO") : "";
    const std::string after = digest_or_none(entry.after, file);
    if (there == after) continue;
    if (there != digest_or_none(entry.before, file)) {
      log_.warning(fmt::format("{} was edited since change {} and stays as it is", shown(path),
                               entry.number));
      continue;
    }
    if (after.empty()) {
      std::error_code error;
      if (!fs::remove(path, error) && error)
        throw Error("E_WRITE",
                    fmt::format("{} cannot be removed: {}", shown(path), error.message()));
      continue;
    }
    make_folder(path.parent_path());
    write_file_atomic(path, read_object(folder_, after));
  }
  // If the disk forgets this, the change is found finished in all files, and ends here again.
  move_into_place(pending_file(folder_), change_file(folder_, entry.number));
}

}  // namespace moecollab::registry
