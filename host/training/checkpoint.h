// Unfinished training runs on disk: what --resume goes on from.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_lock.h"
#include "base/json.h"

namespace moecollab::training {

// Everything that the rest of a run depends on.
struct CheckpointState {
  Json facts = Json::object();
  std::vector<std::pair<std::string, at::Tensor>> tensors;  // float32
};

// FOLDER/{0,1}.safetensors, written in turn: while one is written the other is whole. One run at a
// time has the folder. It is there from a run's first step until discard(), so a run that was
// killed while its result was put in place is an unfinished one too.
class Checkpoints {
 public:
  // `run`: digest of all that a run's result depends on; `goal`: a line that names where the result
  // goes. Throws E_LOCK where another process has the folder, E_WRITE where it cannot be made.
  Checkpoints(fs::path folder, std::string run, const std::string& goal);

  // The newest one of this run that is whole (its content digest is checked; a damaged one is
  // warned about), or nullopt. Throws E_CKPT where there are only those of another run.
  std::optional<CheckpointState> load();
  // Atomic; throws E_WRITE and leaves the others as they are.
  void save(const CheckpointState& state);

  // The goal of the unfinished run in the folder; nullopt if there is none.
  static std::optional<std::string> goal(const fs::path& folder);
  // Removes the folder of a run that is done: at once, whatever happens meanwhile.
  static void discard(const fs::path& folder);

 private:
  fs::path slot(int64_t sequence) const;

  fs::path folder_;
  std::string run_;
  FileLock lock_;
  int64_t sequence_ = 0;  // of the next save
};

}  // namespace moecollab::training
