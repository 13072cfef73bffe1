#include "engine/stock_plugins.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/installation.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/session.h"

namespace moecollab::engine {

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

encoder::EncoderSettings new_registry_encoder(const CommonOptions& options) {
  encoder::EncoderSettings settings;
  settings.folder = options.encoder
                        ? *options.encoder
                        : installed_encoder().value_or(".deps/encoder/all-MiniLM-L6-v2");
  settings.max_length = options.max_length;
  return settings;
}

void refresh_lock(const CommonOptions& options, const RunContext& context) {
  const FileLock lock = contribution::lock_registry(options.registry, context.log);
  pipeline::PoolOptions open = pool_options(options, context, /*cached=*/false);
  open.tolerate_refused = true;
  pipeline::Pool pool(open);
  contribution::update_lock(pool, pool.experts());
}

}  // namespace moecollab::engine
