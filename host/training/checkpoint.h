// Unfinished training runs on disk: what --resume goes on from.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/json.h"

namespace moecollab::training {

// Everything that the rest of a run depends on.
struct CheckpointState {
  Json facts = Json::object();
  std::vector<std::pair<std::string, at::Tensor>> tensors;  // float32
};

// FOLDER/{0,1}.safetensors, written in turn: while one is written the other is whole. One run at a
// time has the folder (flock, which ends with the process however it ends).
class Checkpoints {
 public:
  // `run`: digest of all that a run's result depends on. Throws E_LOCK where another process has
  // the folder, E_WRITE where it cannot be made.
  Checkpoints(fs::path folder, std::string run);
  ~Checkpoints();
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  // The newest one that is whole (its content digest is checked; a damaged one is warned about), or
  // nullopt. Throws E_CKPT for one of another run.
  std::optional<CheckpointState> load();
  // Atomic; throws E_WRITE and leaves the others as they are.
  void save(const CheckpointState& state);
  // Removes the folder of a run that is done.
  static void discard(const fs::path& folder);

 private:
  fs::path slot(int64_t sequence) const;

  fs::path folder_;
  std::string run_;
  int lock_ = -1;
  int64_t sequence_ = 0;  // of the next save
};

}  // namespace moecollab::training
