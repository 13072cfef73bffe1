#include "registry/registry_state.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/error.h"
#include "registry/damaged_state.h"
#include "registry/history.h"
#include "registry/layout.h"
#include "registry/lock.h"
#include "registry/registry_file.h"

namespace moecollab::registry {
namespace {

constexpr size_t kMaxText = kMaxLock;  // bytes, of lock and gate

// What differs between two moments if a change began, or ended, between them.
struct Moment {
  int64_t newest;
  std::optional<HistoryEntry> pending;

  bool same(const Moment& other) const {
    return newest == other.newest && pending.has_value() == other.pending.has_value() &&
           (!pending || pending->number == other.pending->number);
  }
};

Moment moment_of(const fs::path& folder) {
  std::optional<HistoryEntry> pending = pending_change(folder);
  return {newest_change(folder), std::move(pending)};
}

std::optional<std::string> text_of(const fs::path& path, size_t limit) {
  std::error_code ignored;
  if (fs::symlink_status(path, ignored).type() == fs::file_type::not_found) return std::nullopt;
  const auto size = fs::is_regular_file(path, ignored) ? fs::file_size(path, ignored) : 0;
  if (!ignored && size > limit) {
    throw Error("E_REG_SIZE",
                fmt::format("{}: {} bytes, more than the {} allowed", shown(path), size, limit));
  }
  return read_file(path, "E_REG_IO", limit);
}

// As it lies there.
std::optional<std::string> raw_text(const fs::path& folder, const std::string& file) {
  if (file == kRegistryFile) return registry_text(folder);
  return text_of(folder / file, kMaxText);
}

// The content that counts: the new one if a change is decided and the file is still the old one.
std::optional<std::string> text_at(const fs::path& folder, const std::string& file,
                                   const std::optional<HistoryEntry>& pending) {
  std::optional<std::string> there = raw_text(folder, file);
  if (!pending) return there || file != kLockFile ? there : kept_content(folder, file);
  const auto before = pending->before.find(file), after = pending->after.find(file);
  const bool is_old = before == pending->before.end()
                          ? !there.has_value()
                          : there.has_value() && sha256_hex(*there) == before->second;
  const bool differs = (before == pending->before.end()) != (after == pending->after.end()) ||
                       (before != pending->before.end() && before->second != after->second);
  if (!is_old || !differs) return there;
  if (after == pending->after.end()) return std::nullopt;
  return read_object(folder, after->second);
}

// What `read` gives at one moment.
template <typename Read>
auto at_one_moment(const fs::path& folder, Read read) {
  while (true) {
    const Moment before = moment_of(folder);
    try {
      auto result = read(before.pending);
      if (moment_of(folder).same(before)) return result;
    } catch (const Error&) {
      if (moment_of(folder).same(before)) throw;
    }
  }
}

}  // namespace

RegistryState read_state(const fs::path& folder) {
  return at_one_moment(folder, [&](const std::optional<HistoryEntry>& pending) {
    return RegistryState{*text_at(folder, kRegistryFile, pending),
                         text_at(folder, kLockFile, pending), text_at(folder, kGateText, pending)};
  });
}

std::optional<std::string> read_state_file(const fs::path& folder, const std::string& file) {
  return at_one_moment(folder, [&](const std::optional<HistoryEntry>& pending) {
    return text_at(folder, file, pending);
  });
}

}  // namespace moecollab::registry
