#include "pipeline/pool.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <moecollab/abi.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/version.h"
#include "pipeline/domain_space.h"
#include "pipeline/instantiate.h"
#include "pipeline/probe.h"
#include "registry/damaged_state.h"
#include "registry/label_spaces.h"
#include "registry/permissions.h"
#include "registry/quarantine.h"
#include "registry/registry_file.h"

namespace moecollab::pipeline {

registry::HostFacts host_facts(const encoder::Encoder* encoder) {
  registry::HostFacts facts;
  facts.platform = "linux-x86_64";
  facts.abi_major = MOEC_ABI_MAJOR;
  facts.abi_minor = MOEC_ABI_MINOR;
  facts.sdk = MOEC_SDK_VERSION;
  facts.libtorch = TORCH_VERSION;
  if (encoder != nullptr) {
    facts.encoder_fingerprint = encoder->fingerprint();
    facts.layers = encoder->config().layers;
    facts.max_length = encoder->max_length();
  }
  return facts;
}

encoder::EncoderSettings encoder_settings(const registry::EncoderEntry& entry,
                                          const fs::path& registry_folder) {
  encoder::EncoderSettings settings;
  settings.folder =
      fs::path(entry.path).is_absolute() ? fs::path(entry.path) : registry_folder / entry.path;
  if (entry.max_length) settings.max_length = static_cast<int>(*entry.max_length);
  settings.special_tokens = entry.special_tokens == "literal" ? text::SpecialTokens::kLiteral
                                                              : text::SpecialTokens::kSplit;
  return settings;
}

Pool::Pool(const PoolOptions& options)
    : options_(options),
      state_(options.proposed ? *options.proposed : registry::read_state(options.registry)),
      registry_(registry::parse_registry(state_.registry,
                                         shown(options.registry / registry::kRegistryFile))),
      lock_(registry::parse_lock(state_.lock, shown(options.registry / registry::kLockFile))) {
  if (const auto lost = registry::lost_lock(options_.registry))
    context().log.warning(lost->what, lost->hint);
  open_encoder();
  std::future<void> loading = start_loading();
  check_fingerprint();
  candidates_ = registry::resolve(options_.registry, registry_, lock_);
  registry::check_label_spaces(registry_.label_spaces, candidates_);
  for (const registry::LabelSpace& space : registry_.label_spaces) {
    labels_.add({space.name, space.labels}, /*partial=*/false, "registry.toml");
  }
  for (const bool edited : {false, true}) {  // who was edited defines no labels for the others
    for (registry::Candidate& candidate : candidates_) {
      if (candidate.state == registry::State::kManifestOk && candidate.entry &&
          candidate.edit.has_value() == edited)
        try_to_admit(candidate, loading);
    }
  }
  // Columns are final only now that every space is known.
  for (InstalledExpert& expert : experts_) {
    expert.labels.columns =
        labels_.columns(expert.labels.space, expert.package.manifest.task.labels);
  }
  if (!options_.tolerate_refused) apply_policy();
  if (loading.valid()) loading.get();
}

// Its destructor waits, so an error meanwhile leaves no thread in the encoder. The thread touches
// the model alone, the experts all the rest of the encoder.
std::future<void> Pool::start_loading() {
  if (!options_.load_encoder || encoder_ == nullptr) return {};
  return std::async(std::launch::async, [this] {
    at::set_num_threads(options_.compute.threads);  // OpenMP keeps the number per thread
    encoder_->load();
  });
}

void Pool::open_encoder() {
  if (registry_.encoder.path.empty() && !options_.encoder) return;
  encoder::EncoderSettings settings = encoder_settings(registry_.encoder, options_.registry);
  if (options_.encoder) settings.folder = *options_.encoder;
  encoder_ = std::make_unique<encoder::Encoder>(settings, options_.compute, options_.batch_tokens,
                                                options_.cache, context());
  // They were said when the fingerprint was recorded.
  if (registry_.encoder.fingerprint.empty()) {
    for (const std::string& note : encoder_->notes()) context().log.note(note);
  }
}

// Reads all of the weights, which takes about as long as to load them: both at once if they are
// loaded.
void Pool::check_fingerprint() const {
  const std::string& stated = registry_.encoder.fingerprint;
  if (encoder_ == nullptr || stated.empty() || stated == encoder_->fingerprint()) return;
  throw Error(
      "E_ENCODER_FINGERPRINT",
      fmt::format("the encoder {} has fingerprint {}, registry.toml says {}",
                  escaped(encoder_->settings().folder.string()), encoder_->fingerprint(), stated),
      "use the encoder that the experts were made for, or make a new registry for this one");
}

void Pool::share_work() {
  ranks_ = context().ranks;
  if (encoder_) encoder_->share_passes(ranks_);
}

void Pool::work_alone() {
  ranks_ = nullptr;
  if (encoder_) encoder_->share_passes(nullptr);
}

encoder::Encoder* Pool::probe_encoder() {
  const Compute compute = options_.compute.in(Precision::kFp32);
  if (encoder_ == nullptr || compute.precision == options_.compute.precision) return encoder_.get();
  if (probe_encoder_ == nullptr) {
    probe_encoder_ = std::make_unique<encoder::Encoder>(encoder_->settings(), compute,
                                                        options_.batch_tokens, nullptr, context());
  }
  return probe_encoder_.get();
}

void Pool::try_to_admit(registry::Candidate& candidate, std::future<void>& loading) {
  try {
    admit(candidate, loading);
  } catch (const worker::ProcessEnded& ended) {
    quarantine(candidate.name, *candidate.package, ended.code(), ended.ending());
    registry::refuse(candidate, registry::refusal_of(ended));
  } catch (const Error& error) {
    if (error.code() == "E_INTERRUPTED") throw;
    registry::refuse(candidate, registry::refusal_of(error));
  }
}

void Pool::admit(registry::Candidate& candidate, std::future<void>& loading) {
  const registry::Package& package = *candidate.package;
  registry::require_protected(package);
  const std::vector<registry::Refusal> reasons =
      registry::check(package.manifest, host_facts(encoder_.get()));
  if (!reasons.empty()) return registry::refuse(candidate, reasons.front());
  if (package.manifest.output.kind == "generative") {
    throw Error("E_DESC_KIND", fmt::format("expert {} is generative, which is not in this version",
                                           candidate.name));
  }
  if (options_.isolation.safe_mode) require_stock_library(package);
  candidate.state = registry::State::kCompatible;
  InstalledExpert expert{candidate.name,
                         package,
                         instantiate(package, encoder_.get(), options_.compute, context(),
                                     place(package), candidate.entry->config),
                         {},
                         {}};
  const registry::ProbeRecord now = {package.manifest_sha256,
                                     encoder_ ? encoder_->fingerprint() : "",
                                     engine_version(options_.compute.in(Precision::kFp32))};
  const registry::LockEntry* locked = lock_.find(candidate.name);
  const bool has_probe = package.manifest.files.contains(kProbeFile);
  if (has_probe && (options_.run_probes || locked == nullptr || locked->probe != now)) {
    if (loading.valid()) loading.get();
    check_probe(package, *expert.expert, probe_encoder());
  }
  expert.probed = has_probe;
  if (has_probe) expert.probe = now;
  const registry::TaskTable& task = package.manifest.task;
  expert.labels.space = labels_.add({task.label_space, task.labels}, task.partial,
                                    fmt::format("expert {}", candidate.name));
  expert.labels.temperature = package.manifest.output.temperature;
  candidate.state = registry::State::kReady;
  experts_.push_back(std::move(expert));
}

void Pool::apply_policy(const std::string& but) const {
  for (const registry::Candidate& candidate : candidates_) {
    if (candidate.name == but) continue;
    if (!candidate.refusal || !candidate.entry || !registry::is_refused(candidate.state)) continue;
    const std::string what =
        fmt::format("expert {} is refused: {}", candidate.name, candidate.refusal->rule);
    const bool required = registry_.policy.on_missing == "fail" || candidate.entry->required;
    const bool left_out = options_.isolation.safe_mode && candidate.refusal->code == "E_POLICY";
    if (required && !left_out) {
      throw Error(candidate.refusal->code, what,
                  fmt::format("{}; or go without it: enabled = false for it in registry.toml, or "
                              "on_missing = \"skip\" under [policy]; `moecollab experts why {}` "
                              "tells more",
                              candidate.refusal->hint.empty() ? "fix it" : candidate.refusal->hint,
                              candidate.name));
    }
    context().log.warning(what);
  }
}

// Who only looks at a registry, or at one that is not made yet, changes none.
void Pool::quarantine(const std::string& name, const registry::Package& package,
                      const std::string& code, const worker::Ending& ending) const {
  // Until its sandbox stands, a process has run nothing but our own code.
  if (options_.tolerate_refused || options_.proposed || ending.phase == "start") return;
  registry::ChangeNote note = options_.note;
  note.reason = fmt::format("expert {} is quarantined: its process {} in {}()", name, ending.cause,
                            ending.phase);
  try {
    registry::quarantine({options_.registry, note, false, context().log},
                         {package.manifest_sha256, name, code, ending.phase, ending.cause,
                          ending.output, utc_now("%Y-%m-%dT%H:%M:%SZ"), kVersion});
    context().log.warning(note.reason, fmt::format("`moecollab experts why {}` tells more", name));
  } catch (const Error& error) {
    context().log.warning(fmt::format("{}; that could not be recorded for later runs: {}",
                                      note.reason, error.what()));
  }
}

int Pool::space_of_domain(const std::string& domain) const {
  std::vector<const InstalledExpert*> experts;
  for (const InstalledExpert& expert : experts_) experts.push_back(&expert);
  if (const auto space = find_domain_space(registry_, experts, labels_, domain)) return *space;
  const auto stated = registry_.domains.find(domain);
  if (stated == registry_.domains.end()) {
    std::set<std::string> known;
    for (const InstalledExpert& expert : experts_) known.insert(expert.domain());
    const std::vector<std::string> names(known.begin(), known.end());
    throw Error("E_DATA",
                fmt::format("no installed expert is of domain {}{}", escaped(domain),
                            did_you_mean(domain, names)),
                fmt::format("there are {}; if this is another name of one, say so in "
                            "registry.toml: [domains] {} = \"LABEL SPACE\"",
                            join(names, ", "), domain));
  }
  throw Error(
      "E_DATA",
      fmt::format(
          "domain {} has label space {} in registry.toml, which no installed expert answers in",
          domain, stated->second),
      "install an expert for it, or define it as [[label_space]]");
}

std::vector<InstalledExpert*> Pool::all_experts() {
  std::vector<InstalledExpert*> all;
  for (InstalledExpert& expert : experts_) all.push_back(&expert);
  return all;
}

void Pool::warn_of_edits() const {
  for (const registry::Candidate& candidate : candidates_) {
    if (candidate.edit && candidate.state == registry::State::kReady)
      context().log.warning(candidate.edit->rule + "; it is fitted as it is now",
                            candidate.edit->hint);
  }
}

const registry::Candidate* Pool::candidate(const std::string& name) const {
  const auto found = std::ranges::find(candidates_, name, &registry::Candidate::name);
  return found == candidates_.end() ? nullptr : &*found;
}

void Pool::require_experts() const {
  if (!experts_.empty()) return;
  throw Error(
      "E_REG_EMPTY", fmt::format("{}: 0 experts installed", escaped(options_.registry.string())),
      fmt::format("train one with `moecollab train-expert`, add a package with `moecollab experts "
                  "add`, or {}",
                  registry::kHowToNameOne));
}

}  // namespace moecollab::pipeline
