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

fs::path usual_encoder() { return installed_encoder().value_or(".deps/encoder/all-MiniLM-L6-v2"); }

}  // namespace moecollab
