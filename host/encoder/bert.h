// The BERT encoder: packed token ids in, hidden states out.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <vector>

#include "base/compute.h"
#include "encoder/encoder_folder.h"
#include "encoder/kernels.h"
#include "encoder/parallel.h"
#include "encoder/product.h"

namespace moecollab::encoder {

struct PassBuffers;

// The states of a batch's tokens after one layer: token t's are values[t · stride … + H).
struct States {
  const float* values;
  int64_t stride;
};

// Post-LN BERT without pooler, inference only, on the CPU (Hugging Face modeling_bert.py).
//
// Norms, softmax, activations and residuals are float32 in every precision. Immutable but for spare
// buffers; thread-safe: several threads keep all cores busy best with a pass each, which never
// wait for one another.
class Bert {
 public:
  // Reads the folder's weights. Throws E_ENCODER listing every missing and mis-shaped tensor,
  // E_ST_… for a damaged file.
  Bert(const EncoderFolder& folder, Precision precision,
       const Kernels& kernels = *usable_kernels().front());
  ~Bert();

  const BertConfig& config() const { return config_; }
  const Kernels& kernels() const { return kernels_; }

  // `ids`: the tokens of all sequences one after the other, sum of `lengths`. Calls `sink` with the
  // states of each layer in `wanted`, ascending (0 = embeddings, i = after block i); they are valid
  // during the call. Blocks above the highest are not run. `threads` share the pass, if there is
  // enough of it; the states' bits do not depend on them.
  void forward(std::span<const int32_t> ids, std::span<const int32_t> lengths,
               const std::set<int>& wanted,
               const std::function<void(int layer, const States&)>& sink,
               int64_t threads = 1) const;

 private:
  struct Norm {
    at::Tensor weight, bias;
  };
  struct Block {
    Product qkv, attention_out, up, down;
    Norm attention_norm, output_norm;
  };
  class Lease;

  // How many threads have a part in every step of a pass.
  int64_t useful_threads(std::span<const int32_t> lengths, int64_t threads) const;
  void embed(std::span<const int32_t> ids, std::span<const int32_t> lengths, PassBuffers& b) const;
  // Steps of a pass, which a member does its part of and finishes.
  void run(const Block& block, std::span<const int32_t> lengths, PassBuffers& b,
           const TeamMember& member) const;
  void attend(std::span<const int32_t> lengths, PassBuffers& b, const TeamMember& member) const;
  void feed_forward(const Block& block, PassBuffers& b, const TeamMember& member) const;
  void normalise(const Norm& norm, PassBuffers& b, const TeamMember& member) const;

  BertConfig config_;
  Precision precision_;
  const Kernels& kernels_;
  Activation activation_;
  at::Tensor words_, positions_;  // positions include token type 0
  Norm embedding_norm_;
  Arena packed_;  // the products' weights
  std::vector<Block> blocks_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<PassBuffers>> spare_;
};

}  // namespace moecollab::encoder
