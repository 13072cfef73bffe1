#include "registry/permissions.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::registry {
namespace {

void require_protected(const fs::path& path, const fs::path& package) {
  struct stat facts {};
  // What is not there, or is a link, is refused by who opens it.
  if (::lstat(path.c_str(), &facts) != 0 || S_ISLNK(facts.st_mode)) return;
  if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw Error("E_PLUG_PERM",
                fmt::format("{} may be changed by others than its owner (mode {:04o})", shown(path),
                            facts.st_mode & 07777U),
                fmt::format("chmod -R go-w {}", shown(package)));
  }
  if (facts.st_uid == 0 || facts.st_uid == ::geteuid()) return;
  throw Error("E_PLUG_PERM",
              fmt::format("{} belongs to user {}, and this is user {}: the owner could change the "
                          "code that runs here",
                          shown(path), facts.st_uid, ::geteuid()),
              fmt::format("run as that user, or take it over: chown -R {} {}", ::geteuid(),
                          shown(package)));
}

}  // namespace

void require_protected(const Package& package) {
  require_protected(package.folder, package.folder);
  require_protected(package.folder / library_file(package.manifest), package.folder);
}

void protect(const fs::path& folder) {
  constexpr fs::perms kOthers = fs::perms::group_write | fs::perms::others_write;
  std::error_code failed;
  fs::permissions(folder, kOthers, fs::perm_options::remove, failed);
  for (fs::recursive_directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed))
    fs::permissions(entry->path(), kOthers, fs::perm_options::remove, failed);
  if (failed) {
    throw Error("E_WRITE", fmt::format("{}: its permissions cannot be set: {}", shown(folder),
                                       failed.message()));
  }
}

}  // namespace moecollab::registry
