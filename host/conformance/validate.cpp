#include "conformance/validate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/installation.h"
#include "base/strings.h"
#include "encoder/encoder_folder.h"
#include "registry/trust.h"

namespace moecollab::conformance {
namespace {

constexpr const char* kLevels[] = {"", "load", "contract", "numerics", "training", "stress"};

const char* name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed:
      return "passed";
    case Verdict::kFailed:
      return "failed";
    default:
      return "not applicable";
  }
}

int64_t count(const Report& report, Verdict verdict) {
  return std::count_if(report.outcomes.begin(), report.outcomes.end(),
                       [&](const Outcome& o) { return o.verdict == verdict; });
}

std::vector<Check> chosen_checks(const ValidateOptions& options) {
  if (options.level < 1 || options.level > 5)
    throw Error("E_CONFIG", fmt::format("level is {}, expected 1 to 5", options.level));
  if (options.deadline_ms < 1)
    throw Error("E_CONFIG",
                fmt::format("deadline-ms is {}, expected 1 or more", options.deadline_ms));
  std::vector<Check> checks = all_checks();
  std::vector<std::string> ids;
  for (const Check& check : checks) ids.push_back(check.id);
  for (const std::string& id : options.checks) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
      throw Error("E_CONFIG",
                  fmt::format("there is no check {}{}", escaped(id, 60), did_you_mean(id, ids)),
                  "`moecollab validate --list` shows every one");
    }
  }
  std::erase_if(checks, [&](const Check& check) {
    const bool named =
        options.checks.empty() ||
        std::find(options.checks.begin(), options.checks.end(), check.id) != options.checks.end();
    return !named || check.level > options.level;
  });
  return checks;
}

// The one failed check of a package that cannot be read.
Report unreadable(const Error& error) {
  Report report;
  Outcome outcome;
  outcome.check = load_checks().front();
  outcome.verdict = Verdict::kFailed;
  outcome.findings.push_back(
      {"the package can be read", fmt::format("{}: {}", error.code(), error.what())});
  report.outcomes.push_back(std::move(outcome));
  return report;
}

EncoderFacts encoder_facts(const registry::Manifest& manifest, const ValidateOptions& options) {
  EncoderFacts facts = toy_encoder();
  if (!manifest.input.needs_encoder() && !options.encoder) return facts;
  if (!options.encoder) {
    const std::optional<fs::path> installed = installed_encoder();
    throw Error(
        "E_CONFIG",
        fmt::format("the package was made for the encoder {}…, whose sizes are needed",
                    manifest.input.encoder_fingerprint.substr(0, 12)),
        fmt::format(
            "name its folder with --encoder or MOECOLLAB_ENCODER{}",
            installed ? "; the one that came with this program is " + installed->string() : ""));
  }
  const encoder::EncoderFolder folder = encoder::open_encoder_folder(*options.encoder);
  facts.config = folder.config;
  facts.max_length = folder.max_length;
  if (manifest.input.needs_encoder()) facts.fingerprint = manifest.input.encoder_fingerprint;
  return facts;
}

std::string xml_text(std::string_view text) {
  std::string out;
  for (const char c : escaped(text, 2000)) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

}  // namespace

bool Report::passed() const {
  return count(*this, Verdict::kPassed) > 0 && count(*this, Verdict::kFailed) == 0;
}

Report validate(const ValidateOptions& options,
                const std::function<void(const registry::Manifest&)>& prepare) {
  const std::vector<Check> checks = chosen_checks(options);
  std::error_code none;
  if (!fs::exists(options.package, none)) {
    throw Error("E_CONFIG", fmt::format("there is no {}", escaped(options.package.string())),
                "name the package's folder, the one that holds expert.toml, or FILE.moec");
  }
  std::optional<registry::PackageFolder> folder;
  std::optional<Subject> subject;
  try {
    folder.emplace(options.package);
    registry::Package package = registry::open_package(folder->path());
    const EncoderFacts facts = encoder_facts(package.manifest, options);
    subject.emplace(std::move(package), facts, options.seed);
  } catch (const Error& error) {
    if (error.code() == "E_CONFIG" || error.code() == "E_ENCODER") throw;
    return unreadable(error);
  } catch (const std::exception& error) {  // such as no memory for its weights
    return unreadable(Error("E_INTERNAL", error.what()));
  }
  if (prepare) prepare(subject->manifest());
  Report report;
  int failed_level = 6;
  bool loads = true;  // what does not load fails every later check alike
  for (const Check& check : checks) {
    if (check.level > failed_level || !loads) {
      report.not_run.push_back(check);
      continue;
    }
    Outcome outcome = run_check(check, *subject, std::chrono::milliseconds(options.deadline_ms));
    if (outcome.verdict == Verdict::kFailed) {
      failed_level = check.level;
      loads = loads && std::string_view(check.id) != "loads";
    }
    report.outcomes.push_back(std::move(outcome));
  }
  report.level_reached = std::min(failed_level - 1, options.level);
  return report;
}

Json to_json(const Report& report, const ValidateOptions& options) {
  Json checks = Json::array();
  for (const Outcome& o : report.outcomes) {
    Json findings = Json::array();
    for (const Finding& f : o.findings)
      findings.push_back({{"expected", f.expected}, {"seen", f.seen}});
    checks.push_back({{"id", o.check.id},
                      {"level", o.check.level},
                      {"verdict", name(o.verdict)},
                      {"promise", o.check.promise},
                      {"findings", findings},
                      {"cure", o.findings.empty() ? Json(nullptr) : Json(o.check.cure)},
                      {"reason", o.reason.empty() ? Json(nullptr) : Json(o.reason)},
                      {"notes", o.notes},
                      {"seconds", o.seconds}});
  }
  Json not_run = Json::array();
  for (const Check& check : report.not_run) not_run.push_back(check.id);
  return {{"schema", "moecollab.validate/1"},
          {"package", options.package.string()},
          {"seed", options.seed},
          {"checks", checks},
          {"passed", count(report, Verdict::kPassed)},
          {"failed", count(report, Verdict::kFailed)},
          {"not_applicable", count(report, Verdict::kNotApplicable)},
          {"not_run", not_run},
          {"level_reached", report.level_reached}};
}

std::string to_text(const Report& report) {
  std::string out;
  int level = 0;
  for (const Outcome& o : report.outcomes) {
    if (o.check.level != level) {
      level = o.check.level;
      out += fmt::format("L{} {}\n", level, kLevels[level]);
    }
    const char* sign = o.verdict == Verdict::kPassed   ? "ok"
                       : o.verdict == Verdict::kFailed ? "FAIL"
                                                       : "–";
    out += fmt::format(
        "  {:<5} {:<17} {}\n", sign, o.check.id,
        o.verdict == Verdict::kNotApplicable ? "not applicable: " + o.reason : o.check.promise);
    for (const std::string& note : o.notes) out += fmt::format("        {}\n", note);
    for (const Finding& f : o.findings)
      out += fmt::format("        expected: {}\n        seen:     {}\n", f.expected, f.seen);
    if (!o.findings.empty() && *o.check.cure != '\0')
      out += fmt::format("        fix:      {}\n", o.check.cure);
  }
  if (!report.not_run.empty())
    out += fmt::format("{} checks of higher levels were not run\n", report.not_run.size());
  const int64_t passed = count(report, Verdict::kPassed), failed = count(report, Verdict::kFailed);
  if (passed + failed == 0) return out + "no check applies to this package: that is no success\n";
  return out + fmt::format("{} passed, {} failed, {} not applicable: level {} reached\n", passed,
                           failed, count(report, Verdict::kNotApplicable), report.level_reached);
}

std::string to_junit(const Report& report, const std::string& package) {
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" "
      "failures=\"{}\" "
      "skipped=\"{}\">\n",
      xml_text(package), report.outcomes.size() + report.not_run.size(),
      count(report, Verdict::kFailed),
      count(report, Verdict::kNotApplicable) + static_cast<int64_t>(report.not_run.size()));
  const auto open = [](const Check& check, double seconds) {
    return fmt::format("<testcase classname=\"L{}\" name=\"{}\" time=\"{:.3f}\">", check.level,
                       check.id, seconds);
  };
  for (const Outcome& o : report.outcomes) {
    out += open(o.check, o.seconds);
    for (const Finding& f : o.findings)
      out += fmt::format("<failure message=\"expected: {}; seen: {}\">{}</failure>",
                         xml_text(f.expected), xml_text(f.seen), xml_text(o.check.cure));
    if (o.verdict == Verdict::kNotApplicable)
      out += fmt::format("<skipped message=\"{}\"/>", xml_text(o.reason));
    out += "</testcase>\n";
  }
  for (const Check& check : report.not_run)
    out += open(check, 0) + "<skipped message=\"a lower level failed\"/></testcase>\n";
  return out + "</testsuite>\n";
}

Json checks_json() {
  Json list = Json::array();
  for (const Check& check : all_checks()) {
    list.push_back({{"level", check.level},
                    {"id", check.id},
                    {"promise", check.promise},
                    {"cure", *check.cure == '\0' ? Json(nullptr) : Json(check.cure)}});
  }
  return list;
}

std::string checks_text() {
  std::string out;
  int level = 0;
  for (const Check& check : all_checks()) {
    if (check.level != level) {
      level = check.level;
      out += fmt::format("L{} {}\n", level, kLevels[level]);
    }
    out += fmt::format("  {:<17} {}\n", check.id, check.promise);
    if (*check.cure != '\0') out += fmt::format("  {:<17} fix: {}\n", "", check.cure);
  }
  return out;
}

}  // namespace moecollab::conformance
