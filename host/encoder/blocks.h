// The blocks of a BERT: states in, states out.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/compute.h"
#include "encoder/bert_config.h"
#include "encoder/kernels.h"
#include "encoder/parallel.h"
#include "encoder/product.h"

namespace moecollab::encoder {

struct PassBuffers;

// Memory of passes that have ended, for those to come. Thread-safe.
class SpareBuffers {
 public:
  SpareBuffers();
  ~SpareBuffers();
  SpareBuffers(const SpareBuffers&) = delete;
  SpareBuffers& operator=(const SpareBuffers&) = delete;

  // Buffers that no other pass uses meanwhile.
  class Lease {
   public:
    explicit Lease(SpareBuffers& spare);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    PassBuffers& operator*() const { return *buffers_; }

   private:
    SpareBuffers& spare_;
    std::unique_ptr<PassBuffers> buffers_;
  };

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<PassBuffers>> buffers_;
};

struct Norm {
  at::Tensor weight, bias;
};

// Post-LN blocks for inference on the CPU (Hugging Face modeling_bert.py, BertLayer). Norms,
// softmax, activations and residuals are float32 in every precision. Immutable; thread-safe:
// several threads keep all cores busy best with a pass each, which never wait for one another. Bits
// depend neither on the threads of a pass nor on what else is in it.
class Blocks {
 public:
  // The weight of block i by its name below "encoder.layer.i.", as in Hugging Face's BertModel:
  // float32, contiguous, of the config's shapes.
  using WeightOf = std::function<at::Tensor(int64_t block, const std::string& name)>;

  // Copies the weights.
  Blocks(const BertConfig& config, int64_t count, const WeightOf& weight, Precision precision,
         const Kernels& kernels = *usable_kernels().front());

  int64_t count() const { return std::ssize(blocks_); }
  const Kernels& kernels() const { return kernels_; }
  // How many threads have a part in every step of a pass over such sequences.
  int64_t useful_threads(std::span<const int32_t> lengths, int64_t threads) const;

  // Makes `b` ready for a pass that begins with these states: those of sequence i are lengths[i]
  // rows of H from states[i] on.
  void begin(std::span<const float* const> states, std::span<const int32_t> lengths,
             int64_t threads, PassBuffers& b) const;
  // Blocks [first, end) over b.x, with as many threads as `b` was prepared for.
  void run(int64_t first, int64_t end, std::span<const int32_t> lengths, PassBuffers& b) const;
  // x = norm(x) per row, a member's part.
  void normalise(const Norm& norm, PassBuffers& b, const TeamMember& member) const;

  // All blocks over texts whose states are rows [row_offsets[i], row_offsets[i + 1]) of `states`
  // [T, H], at least one each: the mean of each text's last states to `out` [n, H].
  void means(const float* states, std::span<const int32_t> row_offsets, int64_t batch_tokens,
             SpareBuffers& spare, float* out) const;

 private:
  struct Block {
    Product qkv, attention_out, up, down;
    Norm attention_norm, output_norm;
  };

  // Steps of a pass, which a member does its part of and finishes.
  void run(const Block& block, std::span<const int32_t> lengths, PassBuffers& b,
           const TeamMember& member) const;
  void attend(std::span<const int32_t> lengths, PassBuffers& b, const TeamMember& member) const;
  void feed_forward(const Block& block, PassBuffers& b, const TeamMember& member) const;
  void mean_of_batch(const float* states, std::span<const int32_t> row_offsets,
                     std::span<const int64_t> rows, int64_t threads, SpareBuffers& spare,
                     float* out) const;

  BertConfig config_;
  Precision precision_;
  const Kernels& kernels_;
  Activation activation_;
  Arena packed_;  // the products' weights
  std::vector<Block> blocks_;
};

}  // namespace moecollab::encoder
