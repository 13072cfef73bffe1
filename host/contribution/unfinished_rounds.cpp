#include "contribution/unfinished_rounds.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "registry/resolution.h"

namespace moecollab::contribution {
namespace {

constexpr const char* kResult = "result.json";

// Name → SHA-256 of the version that counts, of each expert of registry.toml.
std::map<std::string, std::string> resolved_experts(const fs::path& registry) {
  std::map<std::string, std::string> found;
  for (const registry::Candidate& candidate : registry::resolve(
           registry, registry::read_registry(registry), registry::read_lock(registry))) {
    if (candidate.entry)
      found[candidate.name] = candidate.package ? candidate.package->manifest_sha256 : "";
  }
  return found;
}

[[noreturn]] void fail_changed(const std::string& what) {
  throw Error("E_CKPT",
              fmt::format("the registry has changed since the run was interrupted: {}", what),
              "start again without --resume");
}

// Whether a round of `train` made it.
bool is_of_a_round(const fs::path& version) {
  const Json provenance = registry::open_package(version).manifest.provenance;
  return provenance.contains("weighted") || provenance.contains("joint_epochs");
}

}  // namespace

UnfinishedRounds::UnfinishedRounds(const pipeline::PoolOptions& open, Json run,
                                   const CheckpointOptions& options)
    : open_(open), run_(std::move(run)), folder_(registry::rounds_folder(open.registry)) {
  if (!options.resume) return;
  if (fs::exists(folder_)) {
    checkpoints_.emplace(folder_, run_, /*resume=*/true);
    read_state();
  }
  if (over_ || resumed_) return;
  checkpoints_.reset();
  open_.context.log.note(
      "there is no checkpoint to continue from: training starts from the beginning");
}

void UnfinishedRounds::read_state() {
  if (fs::exists(folder_ / kResult)) {
    const Json result = parse_json(read_file(folder_ / kResult, "E_CKPT"));
    training::require_same_run(folder_, result["run"], run_);
    rounds_ = rounds_from_json(result["rounds"]);
    over_ = true;
    return;
  }
  const std::optional<training::CheckpointState> state = checkpoints_->load(open_.context.log);
  if (!state) return;
  rounds_ = rounds_from_json(state->facts["rounds"]);
  experts_ = state->facts["experts"].get<std::map<std::string, std::string>>();
  for (const Json& expert : state->facts["learnt"]) {
    ExpertTrained trained = expert_trained_from_json(expert);
    learnt_.emplace(trained.name, std::move(trained));
  }
  learning_ = state->facts["learning"].get<std::string>();
  before_ = RegistrySnapshot::open(open_.registry, round_folder(rounds_.size()) / "before",
                                   open_.context.log);
  resumed_ = true;
  require_own_changes();
  open_.context.log.note(fmt::format("continuing in round {}, with {} of its experts trained",
                                     rounds_.size(), learnt_.size()));
}

void UnfinishedRounds::require_own_changes() const {
  std::map<std::string, std::string> now = resolved_experts(open_.registry);
  for (const auto& [name, sha256] : experts_) {
    const bool ours = before_->changed().contains(name);
    if (!now.contains(name)) fail_changed(fmt::format("expert {} is gone", name));
    if (!ours && now[name] != sha256) {
      fail_changed(fmt::format("expert {} is {}, it was {}", name, now[name].substr(0, 12),
                               sha256.substr(0, 12)));
    }
    if (!ours) continue;
    for (const fs::path& version : before_->newer_versions(name)) {
      if (!version.filename().string().starts_with('.') && !is_of_a_round(version))
        fail_changed(fmt::format("{} was not made by it", escaped(version.string())));
    }
  }
}

fs::path UnfinishedRounds::round_folder(size_t number) const {
  return folder_ / fmt::format("round-{}", number);
}

fs::path UnfinishedRounds::kept_package(const std::string& name) const {
  return round_folder(rounds_.size()) / name;
}

fs::path UnfinishedRounds::start() const {
  return resumed_ ? round_folder(0) / "before" : open_.registry;
}

// From here on the folder is this run's.
void UnfinishedRounds::take_over() {
  if (!checkpoints_) checkpoints_.emplace(folder_, run_, /*resume=*/false);
}

void UnfinishedRounds::save() {
  Json learnt = Json::array();
  for (const auto& [name, trained] : learnt_) learnt.push_back(to_json(trained));
  checkpoints_->save({{{"rounds", to_json(rounds_)},
                       {"experts", experts_},
                       {"learnt", learnt},
                       {"learning", learning_}},
                      {}});
}

RegistrySnapshot& UnfinishedRounds::begin_round() {
  if (std::exchange(resumed_, false)) {
    before_->restore(open_.note);
    return *before_;
  }
  take_over();
  const size_t number = rounds_.size();
  before_ =
      RegistrySnapshot::take(open_.registry, round_folder(number) / "before", open_.context.log);
  experts_ = resolved_experts(open_.registry);
  learnt_.clear();
  learning_.clear();
  save();
  // That of round 0 is start().
  if (number > 1) fs::remove_all(round_folder(number - 1));
  return *before_;
}

void UnfinishedRounds::end_round(Round round) { rounds_.push_back(std::move(round)); }

void UnfinishedRounds::end() {
  write_file_atomic(folder_ / kResult, to_text({{"run", run_}, {"rounds", to_json(rounds_)}}));
  over_ = true;
}

void UnfinishedRounds::remove() { checkpoints_->finish(); }

bool UnfinishedRounds::begin_expert(const std::string& name) {
  if (learning_ == name) return true;
  // What another run left must not be continued if this one is killed now.
  training::Checkpoints(registry::checkpoint_folder(open_.registry, name), {}, /*resume=*/false);
  learning_ = name;
  save();
  return false;
}

void UnfinishedRounds::end_expert(const ExpertTrained& trained) {
  const fs::path installed = registry::version_folder(open_.registry, trained.name,
                                                      registry::Version::parse(trained.version));
  place_package(open_.registry, registry::open_package(installed), kept_package(trained.name),
                open_.context.log);
  learnt_.insert_or_assign(trained.name, trained);
  learning_.clear();
  save();
}

std::optional<ExpertTrained> UnfinishedRounds::reinstall(const std::string& name) {
  const auto learnt = learnt_.find(name);
  if (learnt == learnt_.end()) return std::nullopt;
  const ExpertTrained& trained = learnt->second;
  const registry::Package package = registry::open_package(kept_package(name));
  registry::check_files(package);
  if (package.manifest_sha256 != trained.sha256 ||
      !fs::exists(registry::held_out_file(open_.registry, trained.sha256))) {
    return std::nullopt;
  }
  install(open_, package, name, Origin::kTrainedHere);
  write_history(open_.registry, name, trained.history);
  return trained;
}

}  // namespace moecollab::contribution
