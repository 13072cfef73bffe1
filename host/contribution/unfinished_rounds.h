// A run of `train` on disk, from its start until its end: what --resume continues from.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "contribution/expert_options.h"
#include "contribution/registry_snapshot.h"
#include "contribution/round.h"
#include "contribution/trained_expert.h"
#include "pipeline/pool.h"
#include "training/checkpoint.h"

namespace moecollab::contribution {

// registry::rounds_folder(): checkpoints of the rounds that are over and the experts that the one
// at hand has trained; round-N/before, the registry as it was before round N; round-N/NAME, the
// packages of these experts; result.json from the end of the last round until the folder is
// removed. A round is continued from the registry as it was before it, with these packages, and so
// comes to the same bits.
class UnfinishedRounds {
 public:
  // `run`: all that the result depends on, by name. To resume, takes over the run that was
  // interrupted, if there is one (else says so), and changes nothing yet. Throws as
  // training::Checkpoints, and E_CKPT if the registry has changed meanwhile otherwise than by that
  // run: names the expert.
  UnfinishedRounds(const pipeline::PoolOptions& open, Json run, const CheckpointOptions& options);

  // A folder laid out as a registry, with the gate (if there was one) as it was at the run's start.
  fs::path start() const;
  // Those that are over.
  const std::vector<Round>& rounds() const { return rounds_; }
  // Whether the last of all is.
  bool over() const { return over_; }

  // The registry before the next round: as it is, or if that round was begun before, as it is put
  // back now.
  RegistrySnapshot& begin_round();
  void end_round(Round round);
  // Remembers that the rounds are all.
  void end();
  // Removes the folder.
  void remove();

  // Whether the round's training of this expert was cut short: it continues from its checkpoint.
  // Else its checkpoints are emptied, and from now on it is the one that learns. Throws E_LOCK if
  // another process trains it.
  bool begin_expert(const std::string& name);
  // Keeps an expert that is installed.
  void end_expert(const ExpertTrained& trained);
  // An expert that the round had trained, installed again; nullopt if it must be trained.
  std::optional<ExpertTrained> reinstall(const std::string& name);

 private:
  void read_state();
  void require_own_changes() const;
  void take_over();
  void save();
  fs::path round_folder(size_t number) const;
  fs::path kept_package(const std::string& name) const;

  const pipeline::PoolOptions& open_;
  Json run_;
  fs::path folder_;
  std::optional<training::Checkpoints> checkpoints_;  // none until the folder is ours
  std::vector<Round> rounds_;
  bool over_ = false;
  // State of the round that was begun.
  std::optional<RegistrySnapshot> before_;
  bool resumed_ = false;                        // by another process
  std::map<std::string, std::string> experts_;  // that were resolved before it: name → SHA-256
  std::map<std::string, ExpertTrained> learnt_;
  std::string learning_;  // the expert that is being trained; empty: none
};

}  // namespace moecollab::contribution
