// `moecollab validate`: the conformance suite over one package.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "conformance/runner.h"

namespace moecollab::conformance {

struct ValidateOptions {
  fs::path package;
  int level = 5;                    // the highest that is run
  std::vector<std::string> checks;  // by id; none: all
  std::optional<fs::path> encoder;  // folder with config.json, for a package made for an encoder
  uint64_t seed = 1;
  int64_t deadline_ms = 5000;  // of one check
  bool confined = false;       // the library changes no file and reaches nobody, whatever it does
};

struct Report {
  std::vector<Outcome> outcomes;
  std::vector<Check> not_run;  // of levels above the first that failed
  int level_reached = 0;       // all checks up to it passed
  std::string encoder;         // whose sizes inputs had; "" if the expert reads no features
  std::string sandbox;  // how far the checks were confined, a SandboxLevel; "": not asked for

  bool passed() const;
};

// Throws E_CONFIG for a path that is not there, an unknown check, and a package made for an encoder
// if none is given. A package that cannot be read is a failed check `package`. Levels above the
// first with a failure are not run, nor is anything after a library that does not load. `prepare`
// is called once the manifest is known, before any library is loaded.
Report validate(const ValidateOptions& options,
                const std::function<void(const registry::Manifest&)>& prepare = {});

// {"schema": "moecollab.validate/1", "encoder", "sandbox", "checks": […], "passed", "failed",
// "not_applicable", "not_run", "level_reached"}.
Json to_json(const Report& report, const ValidateOptions& options);
// `failures_only`: and the summary.
std::string to_text(const Report& report, bool failures_only = false);
// JUnit XML, for CI services.
std::string to_junit(const Report& report, const std::string& package);
// Every check: [{"level", "id", "promise", "cure"}], and the same to read.
Json checks_json();
std::string checks_text();

}  // namespace moecollab::conformance
