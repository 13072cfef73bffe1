// The BERT encoder: packed token ids in, hidden states out.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <set>
#include <span>

#include "base/compute.h"
#include "encoder/blocks.h"
#include "encoder/encoder_folder.h"

namespace moecollab::encoder {

class BertWeights;

// The states of a batch's tokens after one layer: token t's are values[t · stride … + H).
struct States {
  const float* values;
  int64_t stride;
};

// Post-LN BERT without pooler, inference only, on the CPU (Hugging Face modeling_bert.py).
// Immutable; thread-safe.
class Bert {
 public:
  // Reads the folder's weights. `spare`: the memory of its passes. Throws E_ENCODER listing every
  // missing and mis-shaped tensor, E_ST_… for a damaged file.
  Bert(const EncoderFolder& folder, Precision precision,
       std::shared_ptr<SpareBuffers> spare = std::make_shared<SpareBuffers>(),
       const Kernels& kernels = *usable_kernels().front());

  const BertConfig& config() const { return config_; }
  const Kernels& kernels() const { return blocks_.kernels(); }

  using Sink = std::function<void(int layer, const States&)>;

  // `ids`: the tokens of all sequences one after the other, sum of `lengths`. Calls `sink` with the
  // states of each layer in `wanted`, ascending (0 = embeddings, i = after block i); they are valid
  // during the call. Blocks above the highest are not run. `threads` share the pass, if there is
  // enough of it; the states' bits do not depend on them.
  void forward(std::span<const int32_t> ids, std::span<const int32_t> lengths,
               const std::set<int>& wanted, const Sink& sink, int64_t threads = 1) const;
  // The same from the states of a layer that an earlier pass gave, to the same bits: states[i] has
  // lengths[i] rows of H. No layer in `wanted` is lower.
  void resume(int layer, std::span<const float* const> states, std::span<const int32_t> lengths,
              const std::set<int>& wanted, const Sink& sink, int64_t threads = 1) const;

 private:
  Bert(const BertConfig& config, const BertWeights& weights, Precision precision,
       std::shared_ptr<SpareBuffers> spare, const Kernels& kernels);
  void embed(std::span<const int32_t> ids, std::span<const int32_t> lengths, PassBuffers& b) const;
  // The blocks after `done`, whose states `b` holds.
  void run(int done, std::span<const int32_t> lengths, const std::set<int>& wanted,
           const Sink& sink, PassBuffers& b) const;

  BertConfig config_;
  Precision precision_;
  at::Tensor words_, positions_;  // positions include token type 0
  Norm embedding_norm_;
  Blocks blocks_;
  std::shared_ptr<SpareBuffers> spare_;
};

}  // namespace moecollab::encoder
