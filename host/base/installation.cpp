#include "base/installation.h"

namespace moecollab {
namespace {

fs::path prefix() { return fs::read_symlink("/proc/self/exe").parent_path().parent_path(); }

}  // namespace

fs::path library_folder() { return prefix() / "lib"; }

std::optional<fs::path> installed_encoder() {
  const fs::path folder = prefix() / "share" / "moecollab" / "encoder" / "all-MiniLM-L6-v2";
  std::error_code none;
  return fs::exists(folder / "config.json", none) ? std::optional(folder) : std::nullopt;
}

fs::path usual_encoder() {
  if (const auto installed = installed_encoder()) return *installed;
  const fs::path set_up = fs::path(".deps") / "encoder" / "all-MiniLM-L6-v2";
  // A program in build/ of the source tree finds it from everywhere.
  const fs::path beside_build = prefix().parent_path() / set_up;
  std::error_code none;
  return !fs::exists(set_up, none) && fs::exists(beside_build, none) ? beside_build : set_up;
}

}  // namespace moecollab
