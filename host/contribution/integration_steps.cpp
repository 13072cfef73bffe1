#include "contribution/integration_steps.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/version.h"
#include "registry/layout.h"

namespace moecollab::contribution {

namespace {

// "failed" says nothing of the package: the disk, the data or an interruption did it.
const char* word_of(std::string_view code) {
  if (code == "E_REQUIRE_ADMISSION") return "undecided";
  for (const char* family : {"E_INTERRUPTED", "E_WRITE", "E_DATA", "E_CONFIG", "E_INTERNAL"})
    if (code.starts_with(family)) return "failed";
  return "refused";
}

}  // namespace

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
    record_["steps"].push_back({{"step", step},
                                {"result", word_of(error.code())},
                                {"code", error.code()},
                                {"reason", error.what()}});
    try {
      write();
    } catch (const Error&) {  // the first one is what is to be heard
    }
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
