#include "pipeline/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/installation.h"
#include "registry/trust.h"

namespace moecollab::pipeline {
namespace {

const std::string& library_digest(const registry::Manifest& manifest) {
  return manifest.files.at(registry::library_file(manifest));
}

fs::path stock_folder() { return library_folder() / "moecollab" / "plugins"; }

bool is_in_stock_folder(const registry::Package& package) {
  std::error_code failed;
  const fs::path stock = fs::canonical(stock_folder(), failed);
  if (failed) return false;
  const fs::path folder = fs::canonical(package.folder, failed);
  if (failed) return false;
  return std::mismatch(stock.begin(), stock.end(), folder.begin(), folder.end()).first ==
         stock.end();
}

// The digests of the stock libraries.
std::set<std::string> stock_libraries() {
  std::set<std::string> digests;
  std::error_code failed;
  for (const fs::directory_entry& kind : fs::directory_iterator(stock_folder(), failed)) {
    try {
      digests.insert(library_digest(registry::open_package(kind.path()).manifest));
    } catch (const Error&) {
      // One that is damaged is no package of ours.
    }
  }
  return digests;
}

// Trained here, by a library that came with the program then or comes with it now: a library from
// elsewhere stays one, whatever it learnt here.
bool is_own(const registry::Package& package, const registry::Lock& lock) {
  return lock.made_here.contains(package.manifest_sha256) &&
         (lock.own_libraries.contains(library_digest(package.manifest)) ||
          has_stock_library(package.manifest));
}

}  // namespace

Place place_of(const registry::Package& package, const registry::RegistryFile& registry,
               const registry::Lock& lock, const worker::IsolationOptions& options,
               const Compute& compute) {
  const registry::Policy& policy = registry.policy;
  if (!options.all && policy.isolation != "process") {
    if (is_own(package, lock) || is_in_stock_folder(package)) return std::nullopt;
    const bool is_signed =
        registry::check_trust(package,
                              {.registry = registry,
                               .made_here = lock.made_here.contains(package.manifest_sha256),
                               .is_new = false,
                               .today = registry::today_utc()})
            .has_value();
    if (is_signed) return std::nullopt;
  }
  worker::ProcessLimits limits;
  limits.call = std::chrono::milliseconds(policy.call_deadline_ms);
  limits.memory = static_cast<uint64_t>(policy.expert_memory_mb) << 20;
  limits.resident = limits.memory / 4;
  limits.threads = std::max(limits.threads, 2 * compute.threads + 8);
  limits.require_sandbox = options.require_sandbox;
  return limits;
}

bool has_stock_library(const registry::Manifest& manifest) {
  static const std::set<std::string> stock = stock_libraries();
  return stock.contains(library_digest(manifest));
}

void require_stock_library(const registry::Package& package) {
  if (has_stock_library(package.manifest)) return;
  throw Error("E_POLICY",
              fmt::format("expert {}: its library {} did not come with this program",
                          package.manifest.expert.name, package.manifest.library.id),
              "leave out --safe-mode to run it");
}

}  // namespace moecollab::pipeline
