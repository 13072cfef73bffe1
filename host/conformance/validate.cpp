#include "conformance/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/installation.h"
#include "base/strings.h"
#include "conformance/contract.h"
#include "encoder/encoder_folder.h"
#include "encoder/identity.h"
#include "experts/inputs.h"
#include "registry/trust.h"
#include "worker/confinement.h"

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
  const bool manifest = error.code().starts_with("E_REG") && error.hint().empty();
  Report report;
  Outcome outcome;
  outcome.check = load_checks().front();
  outcome.verdict = Verdict::kFailed;
  outcome.findings.push_back(
      {"the package can be read", fmt::format("{}: {}", error.code(), error.what()),
       manifest ? "correct expert.toml: docs/package.md has every key" : error.hint()});
  report.outcomes.push_back(std::move(outcome));
  return report;
}

// Sizes of the encoder in that folder, and its fingerprint: that one of both readings of special
// tokens which is `wanted`, if it is one. A kind wants none, and each costs a look at all weights.
EncoderFacts facts_of(const encoder::EncoderFolder& folder, const std::string& wanted) {
  EncoderFacts facts;
  facts.config = folder.config;
  facts.max_length = folder.max_length;
  for (const auto reading : {text::SpecialTokens::kLiteral, text::SpecialTokens::kSplit}) {
    if (wanted.empty() && reading == text::SpecialTokens::kLiteral) continue;
    facts.fingerprint = encoder::fingerprint_of(folder, encoder::open_tokenizer(folder, reading));
    if (facts.fingerprint == wanted) break;
  }
  return facts;
}

// The encoder's, in the folder that was named or that came with this program, if it is the one that
// the package was made for.
EncoderFacts encoder_facts(const registry::Manifest& manifest, const ValidateOptions& options) {
  const bool needed = manifest.input.needs_encoder();
  if (!needed && !options.encoder) return toy_encoder();
  const fs::path path = options.encoder.value_or(usual_encoder());
  const std::string& fingerprint = manifest.input.encoder_fingerprint;
  constexpr const char* kNameIt = "name its folder with --encoder or MOECOLLAB_ENCODER";
  if (std::error_code none; !options.encoder && !fs::exists(path / "config.json", none))
    throw Error("E_CONFIG",
                fmt::format("the package was made for the encoder {}…, whose sizes are needed",
                            fingerprint.substr(0, 12)),
                kNameIt);
  EncoderFacts facts = facts_of(encoder::open_encoder_folder(path), fingerprint);
  if (needed && facts.fingerprint != fingerprint)
    throw Error("E_CONFIG",
                fmt::format("the package was made for the encoder {}…, and {} holds {}…",
                            fingerprint.substr(0, 12), escaped(path.string()),
                            facts.fingerprint.substr(0, 12)),
                kNameIt);
  return facts;
}

std::string name_of_encoder(const registry::Manifest& manifest, const ValidateOptions& options,
                            const EncoderFacts& facts) {
  if ((experts::input_bits(manifest.input) & ~uint32_t{MOEC_INPUT_TEXT}) == 0) return "";
  if (!manifest.input.needs_encoder() && !options.encoder)
    return fmt::format(
        "a stand-in with features of {} numbers; --encoder FOLDER takes a real one's sizes",
        facts.config.hidden);
  return fmt::format("{}, features of {} numbers",
                     escaped(options.encoder.value_or(usual_encoder()).string()),
                     facts.config.hidden);
}

std::string cure_of(const Outcome& outcome, const Finding& finding) {
  return finding.cure.empty() ? outcome.check.cure : finding.cure;
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
  std::string encoder;
  try {
    folder.emplace(options.package);
    registry::Package package = registry::open_package(folder->path());
    const EncoderFacts facts = encoder_facts(package.manifest, options);
    encoder = name_of_encoder(package.manifest, options, facts);
    subject.emplace(std::move(package), facts, options.seed);
  } catch (const Error& error) {
    if (error.code() == "E_CONFIG" || error.code() == "E_ENCODER") throw;
    return unreadable(error);
  } catch (const std::exception& error) {  // such as no memory for its weights
    return unreadable(Error("E_INTERNAL", error.what()));
  }
  if (prepare) prepare(subject->manifest());
  Report report;
  report.encoder = encoder;
  if (options.confined) report.sandbox = worker::name(worker::confinement_level());
  int failed_level = 6;
  bool loads = true;  // what does not load fails every later check alike
  for (const Check& check : checks) {
    if (check.level > failed_level || !loads) {
      report.not_run.push_back(check);
      continue;
    }
    Outcome outcome = run_check(check, *subject, std::chrono::milliseconds(options.deadline_ms),
                                options.confined);
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
      findings.push_back({{"expected", f.expected}, {"seen", f.seen}, {"cure", cure_of(o, f)}});
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
          {"encoder", report.encoder.empty() ? Json(nullptr) : Json(report.encoder)},
          {"sandbox", report.sandbox.empty() ? Json(nullptr) : Json(report.sandbox)},
          {"checks", checks},
          {"passed", count(report, Verdict::kPassed)},
          {"failed", count(report, Verdict::kFailed)},
          {"not_applicable", count(report, Verdict::kNotApplicable)},
          {"not_run", not_run},
          {"level_reached", report.level_reached}};
}

// What was found before, by an earlier check, is named with that one: it has the same cause.
void append_findings(const Outcome& o, std::map<std::string, std::string>& seen_before,
                     std::string& out) {
  std::vector<std::string> cures;
  for (const Finding& f : o.findings) {
    const auto [earlier, is_new] = seen_before.emplace(f.expected + f.seen, o.check.id);
    if (!is_new && earlier->second != o.check.id) {
      out += fmt::format("        seen:     {} (as by {})\n", f.seen, earlier->second);
      continue;
    }
    out += fmt::format("        expected: {}\n        seen:     {}\n", f.expected, f.seen);
    const std::string cure = cure_of(o, f);
    if (!cure.empty() && std::ranges::find(cures, cure) == cures.end()) cures.push_back(cure);
  }
  if (cures.empty()) return;
  for (const std::string& cure : cures) out += fmt::format("        fix:      {}\n", cure);
  if (const auto rules = rules_of(o.check.id); !rules.empty())
    out += fmt::format("        rules:    {} (@rule in the SDK's headers)\n", join(rules, ", "));
}

std::string to_text(const Report& report, bool failures_only) {
  std::string out = report.encoder.empty() ? "" : "encoder: " + report.encoder + "\n";
  int level = 0;
  std::map<std::string, std::string> seen_before;
  for (const Outcome& o : report.outcomes) {
    if (failures_only && o.verdict != Verdict::kFailed) continue;
    if (o.check.level != level) {
      level = o.check.level;
      out += fmt::format("L{} {}\n", level, kLevels[level]);
    }
    const char* sign = o.verdict == Verdict::kPassed   ? "ok"
                       : o.verdict == Verdict::kFailed ? "FAIL"
                                                       : "–";
    out += fmt::format(
        "  {:<5} {:<21} {}\n", sign, o.check.id,
        o.verdict == Verdict::kNotApplicable ? "not applicable: " + o.reason : o.check.promise);
    for (const std::string& note : o.notes) out += fmt::format("        {}\n", note);
    append_findings(o, seen_before, out);
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
                         xml_text(f.expected), xml_text(f.seen), xml_text(cure_of(o, f)));
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
    out += fmt::format("  {:<21} {}\n", check.id, check.promise);
    if (*check.cure != '\0') out += fmt::format("  {:<21} fix: {}\n", "", check.cure);
    if (const auto rules = rules_of(check.id); !rules.empty())
      out += fmt::format("  {:<21} rules: {}\n", "", join(rules, ", "));
  }
  return out;
}

}  // namespace moecollab::conformance
