// What gate.toml keeps of a fit beside the gate itself: the settings that it was asked for, and
// what it came to.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/run_context.h"
#include "evaluation/profile.h"
#include "pipeline/gate_file.h"
#include "training/gate_training_options.h"
#include "training/space_shares.h"
#include "training/top_k_choice.h"

namespace moecollab::training {

struct GateFitRecord {
  // `layers` are those that the gate reads; `patience` is not kept.
  GateTrainingOptions settings;
  int64_t texts = 0;   // held-out texts that were fitted
  int32_t epochs = 0;  // taken; settings.epochs are those allowed
  int64_t skipped_steps = 0;
  // Means over the last epoch, nats: before the guard of a gate of one softmax.
  double task = 0, entropy = 0, balance = 0, total = 0;
  // Accuracy of each expert on the held-out texts of its own label space: what decides who is the
  // best one. In the order of the rows; read from a file, by name.
  std::vector<std::pair<std::string, double>> expert_accuracy;
  std::vector<std::pair<std::string, int64_t>> expert_texts;  // how many those were
  std::vector<double> entropy_percentiles;  // gate::entropy_percentiles() on the held-out texts
  std::optional<double> validation_task;    // task loss on the texts that chose the epochs
  std::optional<TopKChoice> top_k_choice;   // of `--top-k auto`
  // What the guard changed, by the best expert of each space.
  std::vector<std::pair<std::string, ShareGuard>> share_guards;
  evaluation::Profiles profiles;  // held_out_profiles()
  std::string replay_sha256;      // of the rows kept for `grow`; empty: none
};

// Its entry in [metrics.share_guard].
Json to_json(const ShareGuard& guard);

// Writes the record into the file's fusion, top_k, objective, prior, seed, fit and metrics. The
// layers and the kind of the gate are those of the file's gate, its top_k is the one chosen if one
// was.
void write_record(const GateFitRecord& record, pipeline::GateFile& file);

// What is not recorded (by earlier versions) has its default. Throws E_GATE naming a key of another
// type.
GateFitRecord read_record(const pipeline::GateFile& file);

// The settings that fit such a gate again, its seed included. Warns about a gate of an earlier
// version, which did not record all of them.
GateTrainingOptions settings_of(const pipeline::GateFile& file, Log log);

}  // namespace moecollab::training
