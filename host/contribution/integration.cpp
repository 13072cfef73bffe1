#include "contribution/integration.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "experts/scanner.h"
#include "pipeline/gate_file.h"
#include "registry/names.h"
#include "registry/operations.h"
#include "registry/quarantine.h"
#include "registry/rollback.h"
#include "registry/trust.h"

namespace moecollab::contribution {
namespace {

// A name of an upgrade stands for its newest installed version.
bool names_expert(const InstallOptions& install) {
  return install.upgrade && !fs::exists(install.package) &&
         registry::is_name(install.package.string());
}

std::string name_of(const InstallOptions& install, const registry::Package& package) {
  if (names_expert(install)) return install.package.string();
  return install.name.empty() ? package.manifest.expert.name : install.name;
}

void refuse_kind(const registry::Package& package, const fs::path& path) {
  if (!package.manifest.is_kind()) return;
  throw Error("E_DESC_LABELS",
              fmt::format("{} has no labels: it is a kind to be trained, not an expert",
                          escaped(path.string())),
              fmt::format("train one with `moecollab train-expert NAME --kind {} --domain D`",
                          escaped(path.string())));
}

[[noreturn]] void refuse(const Json& verdict) {
  std::string reasons;
  for (const Json& reason : verdict["reasons"])
    reasons += (reasons.empty() ? "" : "; ") + reason.get<std::string>();
  if (verdict["texts_needed"].is_number())
    reasons += fmt::format("; about {} texts would decide", verdict["texts_needed"].get<int64_t>());
  const std::string hint =
      verdict["file"].is_null()
          ? std::string("`moecollab admit` keeps the whole verdict")
          : fmt::format("the whole verdict is in {}", verdict["file"].get<std::string>());
  if (verdict["verdict"] == "undecided")
    throw Error("E_REQUIRE_ADMISSION", "admission is undecided: " + reasons,
                "give more texts, or add it without data and let probation_weight_cap under "
                "[policy] bound it; " +
                    hint);
  throw Error("E_POLICY_ADMISSION", "admission refuses the package: " + reasons, hint);
}

// Null if there is no other expert to judge it against.
Json admission(const pipeline::PoolOptions& open, const registry::Package& package,
               const std::string& name, const JudgeOptions& judging,
               const std::optional<TrialFiles>& files) {
  if (!files) {
    throw Error("E_POLICY_ADMISSION",
                "registry.toml says admission = \"always\", and there is no data to judge on",
                "give it with --data-dir or --data DOMAIN=FILE");
  }
  pipeline::PoolOptions tolerant = open;
  tolerant.tolerate_refused = true;  // the version that leaves may be refused
  pipeline::Pool pool(tolerant);
  pool.apply_policy(name);
  if (pool.experts().empty()) return nullptr;
  CollectingLog notes(open.context.log);
  const auto trial = open_trial(pool, package, name, notes.log());
  const auto [verdict, known] = judge_and_keep(pool, *trial, *files, judging, notes);
  if (verdict["verdict"] != "admit") refuse(verdict);
  const Json& forced = verdict["forced_share"];
  return {{"verdict", "admit"},   {"texts", forced["n"]}, {"change", forced["change"]},
          {"low", forced["low"]}, {"known", known},       {"file", verdict["file"]}};
}

// The checks ran the library in processes that could not do harm, or that is said.
void require_confined(const Json& sandbox, const pipeline::PoolOptions& open) {
  if (sandbox == "full") return;
  const std::string what = fmt::format(
      "conformance was judged in a sandbox of level {}, not full: the kernel lacks Landlock or "
      "seccomp",
      sandbox.get<std::string>());
  if (open.isolation.require_sandbox) throw Error("E_POLICY", what);
  open.context.log.warning(what);
}

}  // namespace

Integration::Integration(pipeline::PoolOptions open, InstallOptions install)
    : open_(std::move(open)),
      install_(std::move(install)),
      path_(names_expert(install_)
                ? registry::newest_of_range(open_.registry, install_.package.string())
                : install_.package),
      folder_(path_),
      package_(registry::open_package(folder_.path())),
      name_(name_of(install_, package_)),
      steps_(open_.registry, package_, name_, open_.note.command) {
  refuse_kind(package_, path_);
  result_ = {{"name", name_},
             {"version", package_.manifest.expert.version.text()},
             {"sha256", package_.manifest_sha256},
             {"conformance", nullptr},
             {"admission", nullptr},
             {"gate", nullptr},
             {"dry_run", install_.dry_run},
             {"change", nullptr}};
}

void Integration::open_registry() {
  registry_ = registry::read_registry(open_.registry);
  made_here_ = registry::was_made_here(open_.registry, package_.manifest_sha256);
  const registry::Lock lock = registry::read_lock(open_.registry);
  const registry::LockEntry* locked = lock.find(name_);
  selected_ = locked != nullptr && locked->manifest_sha256 == package_.manifest_sha256;
  steps_.keep(!install_.dry_run && !selected_);  // what was found when it came stays
}

void Integration::check(const ConformanceCheck& conformance, const JudgeOptions& judging,
                        const std::optional<TrialFiles>& files) {
  open_registry();
  result_.update(steps_.run("trust", [&] { return check_trust(); }));
  steps_.run("scan", [&] { return scan(); });
  result_.update(steps_.run("compatibility", [&] { return check_compatibility(); }));
  judge_conformance(conformance);
  judge_admission(judging, files);
}

Json Integration::check_trust() const {
  const std::optional<registry::Signer> signer =
      registry::check_trust(package_, {.registry = registry_,
                                       .made_here = made_here_,
                                       .is_new = true,
                                       .today = registry::today_utc()});
  const registry::Lock lock = registry::read_lock(open_.registry);
  registry::require_not_quarantined(lock, package_.manifest_sha256);
  if (const registry::LockEntry* before = lock.find(name_);
      before != nullptr && !signer && !made_here_)
    warn_of_lost_signature(*before);
  return {{"publisher", signer ? Json(signer->publisher) : Json(nullptr)}};
}

// Whoever could replace a signed package by an unsigned one would need no key.
void Integration::warn_of_lost_signature(const registry::LockEntry& before) const {
  try {
    const fs::path folder = registry::version_folder(open_.registry, name_, before.version);
    const auto signer = registry::check_signature(folder, registry_.trust, registry::today_utc());
    if (!signer) return;
    open_.context.log.warning(
        fmt::format("{} {} is signed by {}, version {} by nobody", name_, before.version.text(),
                    escaped(signer->publisher, 80), package_.manifest.expert.version.text()),
        "ask its author for a signed one; require_signature = true under [policy] refuses others");
  } catch (const Error&) {  // it does not count now, or is not there
  }
}

Json Integration::scan() const {
  registry::check_files(package_);
  const fs::path library = package_.folder / registry::library_file(package_.manifest);
  const experts::LibraryNote note =
      experts::scan_library(read_file(library, "E_PLUG_IO"), library.string());
  return {{"library", note.id},
          {"version", note.version},
          {"abi", fmt::format("{}.{}", note.abi_major, note.abi_minor)}};
}

Json Integration::check_compatibility() const {
  if (install_.upgrade) registry::require_upgrade(open_.registry, package_, name_);
  const bool probed = check_package(open_, package_);
  require_installable(open_.registry, package_, name_);
  return {{"probe", probed ? "passed" : "none"}};
}

const char* Integration::reason_to_skip() const {
  if (selected_) return "it is installed already";
  return made_here_ ? "it was trained in this registry" : nullptr;
}

void Integration::judge_conformance(const ConformanceCheck& conformance) {
  const int64_t level = registry_.policy.conformance;
  const char* skip = level == 0 ? "[policy] conformance is 0" : reason_to_skip();
  if (skip != nullptr) return steps_.skip("conformance", skip);
  const fs::path encoder =
      open_.encoder.value_or(pipeline::encoder_settings(registry_.encoder, open_.registry).folder);
  const bool reads = package_.manifest.input.needs_encoder();
  result_["conformance"] = steps_.run("conformance", [&] {
    Json found = conformance(path_, level, reads ? encoder : fs::path());
    require_confined(found["sandbox"], open_);
    return found;
  });
}

void Integration::judge_admission(const JudgeOptions& judging,
                                  const std::optional<TrialFiles>& files) {
  const std::string& policy = registry_.policy.admission;
  const bool always = policy == "always";
  const char* skip = policy == "never" ? "[policy] admission is never"
                     : selected_       ? "it is installed already"
                     : always          ? nullptr
                     : !files          ? "no data is given"
                                       : reason_to_skip();
  if (skip == nullptr && registry_.experts.empty()) skip = "it is the first expert";
  if (skip != nullptr) return steps_.skip("admission", skip);
  result_["admission"] =
      steps_.run("admission", [&] { return admission(open_, package_, name_, judging, files); });
}

void Integration::take_over(const GateWork& gate) {
  const auto more = [&](pipeline::Pool& pool, registry::Change& change) {
    const char* skip = gate ? reason_to_leave_gate(pool) : "it is left as it is";
    if (skip != nullptr) return steps_.skip("gate", skip);
    result_["gate"] = steps_.run("gate", [&] { return gate(pool, change); });
  };
  const Origin origin = made_here_ ? Origin::kTrainedHere : Origin::kElsewhere;
  if (const int64_t change = contribution::install(open_, package_, name_, origin, more))
    result_["change"] = change;
  steps_.write();
}

const char* Integration::reason_to_leave_gate(pipeline::Pool& pool) const {
  const auto is_this = [&](const pipeline::InstalledExpert& expert) {
    return expert.name == name_ && expert.sha256() == package_.manifest_sha256;
  };
  if (std::ranges::none_of(pool.experts(), is_this))
    return "registry.toml selects another version, or none";
  if (!pool.state().gate) return nullptr;
  const auto has_row = [&](const pipeline::GateRow& row) {
    return row.name == name_ && row.sha256 == package_.manifest_sha256;
  };
  return std::ranges::any_of(pipeline::read_gate(pool).rows, has_row) ? "it has its row already"
                                                                      : nullptr;
}

}  // namespace moecollab::contribution
