#include "contribution/integration_steps.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/version.h"
#include "registry/layout.h"

namespace moecollab::contribution {

IntegrationSteps::IntegrationSteps(const fs::path& registry, const registry::Package& package,
                                   const std::string& name, const std::string& command)
    : file_(registry::integration_file(registry, package.manifest_sha256)) {
  record_ = {{"schema", "moecollab.integration/1"},
             {"name", name},
             {"version", package.manifest.expert.version.text()},
             {"sha256", package.manifest_sha256},
             {"time", utc_now("%Y-%m-%dT%H:%M:%SZ")},
             {"program", kVersion},
             {"command", command},
             {"steps", Json::array()}};
}

Json IntegrationSteps::run(const char* step, const std::function<Json()>& body) {
  try {
    Json found = body();
    record_["steps"].push_back({{"step", step}, {"result", "passed"}, {"found", found}});
    return found;
  } catch (const Error& error) {
    const bool undecided = error.code().starts_with("E_REQUIRE");
    record_["steps"].push_back({{"step", step},
                                {"result", undecided ? "undecided" : "refused"},
                                {"code", error.code()},
                                {"reason", error.what()}});
    if (kept_) write();
    throw;
  }
}

void IntegrationSteps::skip(const char* step, const std::string& reason) {
  record_["steps"].push_back({{"step", step}, {"result", "skipped"}, {"reason", reason}});
}

void IntegrationSteps::write() const {
  if (!kept_) return;
  make_folder(file_.parent_path());
  write_file_atomic(file_, to_text(record_));
}

}  // namespace moecollab::contribution
