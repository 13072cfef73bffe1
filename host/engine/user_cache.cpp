#include "engine/user_cache.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "pipeline/instantiate.h"

namespace moecollab::engine {
namespace {

// The user's cache folder; none if the environment names none.
std::optional<fs::path> default_cache() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return fs::path(cache) / "moecollab";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return fs::path(home) / ".cache" / "moecollab";
  return std::nullopt;
}

}  // namespace

std::shared_ptr<encoder::FeatureCache> open_cache(const WhereOptions& options,
                                                  const Compute& compute, Log log) {
  constexpr const char* kWayOn = "name a folder with --cache-dir, or use --no-cache";
  const std::string engine = pipeline::engine_version(compute);
  if (options.cache_dir)
    return std::make_shared<encoder::FeatureCache>(*options.cache_dir, engine, log);
  const std::optional<fs::path> folder = default_cache();
  if (!folder) {
    log.warning("features are not cached: neither XDG_CACHE_HOME nor HOME is set", kWayOn);
    return nullptr;
  }
  try {
    return std::make_shared<encoder::FeatureCache>(*folder, engine, log);
  } catch (const Error& error) {
    if (error.code() != "E_WRITE") throw;
    log.warning(fmt::format("features are not cached: {}", error.what()), kWayOn);
    return nullptr;
  }
}

}  // namespace moecollab::engine
