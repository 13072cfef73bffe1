#include "registry/archive.h"

#include "registry/minisign.h"
#include "registry/package.h"

namespace moecollab::registry {

std::map<std::string, std::string> package_files(const fs::path& folder) {
  const Package package = open_package(folder);
  check_files(package);
  std::map<std::string, std::string> files;
  const auto add = [&](const std::string& name) {
    files[name] = read_file(folder / name, "E_REG_IO", kMaxArchive);
  };
  add(kManifestFile);
  for (const auto& [name, digest] : package.manifest.files) add(name);
  if (fs::exists(folder / kSignatureFile)) {
    add(kSignatureFile);
    files[kSignatureFile] = with_fixed_comment(files[kSignatureFile]);
  }
  return files;
}

void extract(const std::map<std::string, std::string>& files, const fs::path& folder) {
  for (const auto& [name, content] : files) {
    make_folder((folder / name).parent_path());
    write_file_atomic(folder / name, content);
  }
}

}  // namespace moecollab::registry
