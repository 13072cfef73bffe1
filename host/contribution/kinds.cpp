#include "contribution/kinds.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/installation.h"
#include "base/strings.h"
#include "registry/manifest.h"

namespace moecollab::contribution {

fs::path find_kind(const std::string& kind) {
  if (kind.find('/') != std::string::npos) return kind;
  const fs::path stock = library_folder() / "moecollab" / "plugins";
  if (fs::exists(stock / kind / registry::kManifestFile)) return stock / kind;
  if (fs::exists(fs::path(kind) / registry::kManifestFile) || fs::is_regular_file(kind))
    return kind;
  std::vector<std::string> kinds;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(stock, none))
    kinds.push_back(entry.path().filename().string());
  std::sort(kinds.begin(), kinds.end());
  throw Error("E_CONFIG",
              fmt::format("there is no kind {}{}", escaped(kind, 80), did_you_mean(kind, kinds)),
              fmt::format("kinds are {}, or the path of a package's folder or FILE.moec",
                          join(kinds, ", ")));
}

}  // namespace moecollab::contribution
