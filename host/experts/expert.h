// One expert, wherever it runs: all that pipeline and training know of it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "encoder/features.h"
#include "experts/evidence.h"

namespace moecollab::experts {

// Cost of a row of t tokens, 2 per multiply-add: row + t·token + t²·pair.
struct Flops {
  int64_t row = 0, token = 0, pair = 0;
  double of(int64_t tokens) const {
    const auto t = static_cast<double>(tokens);
    return static_cast<double>(row) + t * static_cast<double>(token) +
           t * t * static_cast<double>(pair);
  }
};

// What is known of an expert when it is made, and does not change.
struct ExpertFacts {
  std::string name;  // for messages
  int32_t classes = 0;
  bool probabilities = false;       // what forward() gives, instead of logits
  encoder::FeatureRequest request;  // the features that a batch for it must hold
  std::vector<int32_t> layers;      // that it reads, ascending; from the embeddings, 0
  bool adopted_layers = false;      // it named other layers than its setup, and these count
  Flops flops;                      // of the library's own code, as it declares them
  bool trainable = false;           // by the host's optimiser (moecollab.params/1 and train/1)
  bool isolated = false;            // it runs in a process of its own
  bool explains = false;            // it says what of a text speaks for a class
};

// Training by the expert itself (moecollab.fit/1). A part of an Expert, with its errors.
class SelfFitting {
 public:
  // `rows`: of one epoch.
  virtual void fit_begin(int64_t rows, int32_t max_epochs, uint64_t seed) = 0;
  // Labels [n] int32, weights [n] float32.
  virtual void fit_batch(const encoder::Features& rows, const at::Tensor& labels,
                         const at::Tensor& weights) = 0;
  // False if another epoch would change nothing.
  virtual bool fit_epoch_end() = 0;
  virtual void fit_end() = 0;

 protected:
  ~SelfFitting() = default;
};

// Not thread-safe. Every call throws E_OUT with the expert's name and its own (escaped) message if
// it fails or its process is gone, E_OUT_UNWRITTEN if a row of the output was left unwritten,
// E_INTERRUPTED if it ended because the setup's stop token is set. All that a call takes and gives
// is the host's memory, nothing of it the expert's, so that an expert may live in another process.
class Expert {
 public:
  Expert() = default;
  virtual ~Expert() = default;
  Expert(const Expert&) = delete;
  Expert& operator=(const Expert&) = delete;

  virtual const ExpertFacts& facts() const = 0;
  const std::string& name() const { return facts().name; }
  int32_t classes() const { return facts().classes; }
  const encoder::FeatureRequest& request() const { return facts().request; }
  // The operations of forward().
  virtual Flops flops() const { return facts().flops; }
  bool adopted_layers() const { return facts().adopted_layers; }
  const std::vector<int32_t>& layers() const { return facts().layers; }

  // [n, classes] float32 for n >= 1 rows, as the expert wrote them (not checked for NaN).
  virtual at::Tensor forward(const encoder::Features& rows) = 0;
  // Whether forward() is the host's own code, which uses the calling thread alone. bind() and
  // fit_begin() end that.
  virtual bool is_host_code() const { return false; }
  // What forward() stands for if it is the host's own code: the library's answer.
  virtual at::Tensor forward_by_library(const encoder::Features& rows) { return forward(rows); }
  // The logits o_e of what forward() or forward_train() gave: logits as they are, ln p of
  // probabilities (p at least kLeastProbability).
  at::Tensor to_logits(const at::Tensor& output) const;

  // At most `most` parts of the text of one row, the greatest magnitudes first; empty if it does
  // not explain, or has nothing learnt yet. Throws as checked_evidence().
  virtual std::vector<Evidence> explain(const encoder::Features& /*row*/, int32_t /*label*/,
                                        int64_t /*most*/) {
    return {};
  }

  // --- Training with the host's optimiser, if trainable()
  // Float32 tensors on the CPU, contiguous. The expert reads `value` after params_changed() and
  // adds to `grad`; the storage is the same until the expert is gone.
  struct Parameter {
    std::string name;
    at::Tensor value, grad;
    bool trainable, decay;
    double lr_scale;  // times the learning rate
  };
  bool trainable() const { return facts().trainable; }
  // Gives the parameters storage and the values of the setup's weights or, if it has none, those
  // that the seed draws. Once. Throws E_DESC_MISMATCH if two have the same name.
  virtual const std::vector<Parameter>& bind(uint64_t seed) = 0;
  virtual const std::vector<Parameter>& parameters() const = 0;  // empty before bind()
  // To be called after any value was written.
  virtual void params_changed() = 0;

  // What a forward pass left for its vjp. Used once, destroyed before its expert.
  class Saved {
   public:
    Saved() = default;
    virtual ~Saved() = default;
    Saved(const Saved&) = delete;
    Saved& operator=(const Saved&) = delete;
  };
  // [n, classes]. `seed`: of this call's randomness (dropout). `saved` keeps the rows as long as
  // the expert needs them, but for the texts, which are borrowed.
  virtual at::Tensor forward_train(encoder::Features rows, uint64_t seed,
                                   std::unique_ptr<Saved>& saved) = 0;
  // Adds to the parameters' gradients for gy [n, classes] float32; `saved` is of this expert.
  virtual void vjp(Saved& saved, const at::Tensor& gy) = 0;

  // nullptr: it does not learn by itself. Lives as long as the expert.
  virtual SelfFitting* self_fitting() = 0;

  // --- What it learnt
  // Whether that is parameters alone (no state/1); then they can be rounded to the values that
  // bfloat16 holds (after bind()).
  virtual bool learns_parameters_only() const = 0;
  void round_to_bfloat16();
  // The values of params/1 and the tensors of state/1 by name, as copies.
  virtual std::vector<std::pair<std::string, at::Tensor>> learnt() = 0;
};

}  // namespace moecollab::experts
