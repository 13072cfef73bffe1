// A model's checkpoint as the Hub has it: one safetensors file, or several (shards) with an index.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "weights/safetensors.h"

namespace moecollab::weights {

inline constexpr char kCheckpointFile[] = "model.safetensors";
inline constexpr char kCheckpointIndexFile[] = "model.safetensors.index.json";

// What an index says: the shard of each tensor, a file beside the index.
struct CheckpointIndex {
  std::map<std::string, std::string> shard_of;  // by tensor; not empty

  std::set<std::string> shards() const;
};

// Reads the bytes of the index named `file`: a JSON object whose `weight_map` maps names of tensors
// to file names; other keys are ignored. E_ST_INDEX for anything else: invalid JSON, a key that
// stands twice, a shard that is no plain file name (which could lead out of the folder), no tensor,
// more than `limits.max_tensors`.
CheckpointIndex parse_checkpoint_index(std::string_view bytes, const std::string& file,
                                       const ReadLimits& limits = {});

// The files of a checkpoint, all there when this was made.
struct CheckpointFiles {
  fs::path folder;
  std::optional<CheckpointIndex> index;  // none: model.safetensors is the checkpoint

  // model.safetensors or the index.
  fs::path file() const;
  // Digest of all bytes that tensors come from, 64 hexadecimal digits: model.safetensors' own, or
  // one over the names and digests of the shards. Reads them whole; throws E_ENCODER.
  std::string sha256() const;
};

// The checkpoint in `folder`, none if neither model.safetensors nor an index lies there; with both,
// model.safetensors is taken, as transformers does. E_ST_IO for an index that cannot be read,
// E_ST_INDEX as parse_checkpoint_index() and naming tensor and shard for a shard that is missing,
// E_ST_GIT_LFS for a pointer of git-lfs in place of a file.
std::optional<CheckpointFiles> find_checkpoint(const fs::path& folder);

// The tensors of a checkpoint in memory. Immutable, so that threads may share one.
class Checkpoint {
 public:
  // Opens each file as Safetensors::open does. E_ST_INDEX naming tensor and file if a tensor of the
  // index is not in its shard, or a shard holds one that the index does not look for there.
  static Checkpoint open(const CheckpointFiles& files, const ReadLimits& limits = {});

  // Sorted by name, no name twice; valid as long as this object or the one it was moved to.
  const std::vector<TensorView>& tensors() const { return tensors_; }

 private:
  void check_against(const CheckpointIndex& index, const CheckpointFiles& files) const;

  std::vector<Safetensors> files_;
  std::vector<TensorView> tensors_;
};

}  // namespace moecollab::weights
