// Conformance as a step of `experts add`: `validate` in a process of its own, since the checks fork
// and this process may have threads already.
#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "base/subprocess.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

[[noreturn]] void refuse(const Json& report, const fs::path& package, int64_t level) {
  for (const Json& check : report["checks"]) {
    if (check["verdict"] != "failed") continue;
    const Json finding = check["findings"].empty() ? Json() : check["findings"][0];
    const auto text = [&](const char* key) {
      return finding.is_object() ? escaped(finding.value(key, std::string()), 300) : std::string();
    };
    throw Error("E_PLUG_CONFORMANCE",
                fmt::format("check `{}` fails: expected {}, seen {}",
                            check["id"].get<std::string>(), text("expected"), text("seen")),
                fmt::format("`moecollab validate {} --level {}` shows all of it; [policy] "
                            "conformance in registry.toml says up to which level is asked",
                            shown(package), level));
  }
  throw Error("E_PLUG_CONFORMANCE", fmt::format("{} is not sound", shown(package)));
}

}  // namespace

Json check_conformance(const fs::path& package, int64_t level, const fs::path& encoder) {
  std::vector<std::string> arguments = {
      "validate",   package.string(), "--level", std::to_string(level),
      "--confined", "--json",         "--quiet"};
  if (!encoder.empty()) arguments.insert(arguments.end(), {"--encoder", encoder.string()});
  const Finished finished = run_program("/proc/self/exe", arguments);
  Json report;
  try {
    report = parse_json(finished.output);
  } catch (const std::invalid_argument& error) {
    throw Error("E_PLUG_CONFORMANCE", fmt::format("{} was not judged: exit status {}, {}",
                                                  shown(package), finished.status, error.what()));
  }
  if (report.contains("error")) {
    const Json& error = report["error"];
    throw Error(error.value("code", std::string("E_INTERNAL")),
                error.value("message", std::string()), error.value("hint", std::string()));
  }
  if (finished.status != 0) refuse(report, package, level);
  return {{"level", level}, {"passed", report["passed"]}, {"sandbox", report["sandbox"]}};
}

}  // namespace moecollab::cli
