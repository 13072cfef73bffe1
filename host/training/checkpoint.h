// Unfinished training runs on disk: what --resume continues from.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_lock.h"
#include "base/json.h"
#include "base/ranks.h"
#include "base/run_context.h"

namespace moecollab::training {

// Everything that the rest of a run depends on.
struct CheckpointState {
  Json facts = Json::object();
  std::vector<std::pair<std::string, at::Tensor>> tensors;  // float32
};

// What the first rank found, on all of them: only it reads checkpoints, and `found` is nullopt on
// the others. Throws as Ranks::exchange(), and E_CKPT or E_ST_… if what came is not what was sent.
std::optional<CheckpointState> share_checkpoint(Ranks& ranks,
                                                const std::optional<CheckpointState>& found);

// Throws E_CKPT unless the unfinished run in `folder` depends on the same as this one; names the
// settings that differ, with both values.
void require_same_run(const fs::path& folder, const Json& unfinished, const Json& run);

// FOLDER/{0,1}.safetensors, written in turn: while one is written the other is whole. The folder is
// there until finish(), so that a run that was killed while its result was put in place is an
// unfinished one too, and one process at a time has it.
class Checkpoints {
 public:
  // `run`: all that a run's result depends on, by name. Takes the folder over as it is (`resume`)
  // or empty. Throws E_LOCK if another process has it, E_WRITE if it cannot be made.
  Checkpoints(fs::path folder, Json run, bool resume);

  // The newest one that is whole (its content digest is checked; a damaged one is warned about), or
  // nullopt. Throws as require_same_run().
  std::optional<CheckpointState> load(Log log);
  // Atomic; throws E_WRITE and leaves the others as they are.
  void save(const CheckpointState& state);
  // Removes the folder of a run that is done, what is large in it first, then all at once.
  void finish();

 private:
  fs::path slot(int64_t sequence) const;

  fs::path folder_;
  Json run_;
  FileLock lock_;
  int64_t sequence_ = 0;  // of the next save
};

}  // namespace moecollab::training
