// One expert in this process: an object of a library, behind the C ABI.
#pragma once

#include <ATen/ATen.h>
#include <moecollab/abi.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/compute.h"
#include "base/json.h"
#include "encoder/bert_config.h"
#include "encoder/encoder.h"
#include "experts/host_services.h"
#include "experts/library.h"

namespace moecollab::experts {

// What an expert is made from, beside its library. `weights`: float32 tensors by name.
struct ExpertSetup {
  std::string name;  // for messages
  int32_t classes = 0;
  bool probabilities = false;  // what forward() gives, instead of logits
  uint32_t inputs = 0;         // bits of abi.h
  std::optional<encoder::Pooling> pooling;
  std::vector<int32_t> layers;  // from the embeddings, 0
  const encoder::BertConfig* encoder = nullptr;
  std::string encoder_fingerprint;
  int max_length = 0;
  int64_t max_batch = 0;  // rows of one call; 0: any
  Json config = Json::object();
  std::vector<std::pair<std::string, at::Tensor>> weights;
  Compute compute;
  uint64_t seed = 0;
  Precision training = Precision::kFp32;  // what its products in training are computed in
  // The encoder's weights for moecollab.encoder/1; none: the expert cannot fork from it. Outlives
  // the expert.
  const encoder::Encoder* encoder_weights = nullptr;
  // The manifest is not final yet: layers that the object names instead of those above are taken.
  bool adopt_layers = false;
};

// Cost of a row of t tokens, 2 a multiply-add: row + t·token + t²·pair.
struct Flops {
  int64_t row = 0, token = 0, pair = 0;
  double of(int64_t tokens) const {
    const auto t = static_cast<double>(tokens);
    return static_cast<double>(row) + t * static_cast<double>(token) +
           t * t * static_cast<double>(pair);
  }
};

// Tensors in the layout of the ABI over the host's memory. Borrowed by a call.
class Batch;

// Owns the library's object. Not thread-safe. Every call throws E_OUT with the expert's name and
// its own (escaped) message where it fails, E_OUT_UNWRITTEN where a row of the output was left
// unwritten.
class Expert {
 public:
  // Throws E_DESC_MISMATCH where the object's requirements differ from the setup (both are named).
  Expert(const Library& library, ExpertSetup setup);
  ~Expert();
  Expert(Expert&&) noexcept;
  Expert& operator=(Expert&&) = delete;

  const std::string& name() const { return setup_.name; }
  int32_t classes() const { return setup_.classes; }
  // The features that a batch for it must hold.
  const encoder::FeatureRequest& request() const { return request_; }
  const Flops& flops() const { return flops_; }
  // Whether the object named other layers than the setup, which then count (adopt_layers).
  bool adopted_layers() const { return adopted_layers_; }
  // The encoder layers that it reads, ascending.
  const std::vector<int32_t>& layers() const { return setup_.layers; }

  // [n, classes] float32 for n >= 1 rows, as the expert wrote them (not checked for NaN), asked for
  // in calls of at most max_batch rows.
  at::Tensor forward(const encoder::Features& rows);
  // o_e of design page 4 from what forward() or forward_train() gave: the logits as they are, ln p
  // of probabilities (at least 1e-12).
  at::Tensor to_logits(const at::Tensor& output) const;

  // --- Training with the host's optimiser (moecollab.params/1 and train/1)
  struct Parameter {
    std::string name;
    at::Tensor value, grad;  // the storage that the expert is bound to
    bool trainable, decay;
    double lr_scale;  // times the learning rate
  };
  bool trainable() const { return params_ != nullptr && train_ != nullptr; }
  // Allocates and binds storage, then copies the weights of the setup or, where it has none, calls
  // init(seed). Once.
  std::vector<Parameter>& bind(uint64_t seed);
  const std::vector<Parameter>& parameters() const { return parameters_; }  // after bind()
  void params_changed();

  // What a forward pass left for its vjp; keeps the rows alive. Used once.
  class Saved {
   public:
    ~Saved();
    Saved(const Saved&) = delete;
    Saved& operator=(const Saved&) = delete;

   private:
    friend class Expert;
    Saved() = default;
    Expert* expert_ = nullptr;
    moec_saved* handle_ = nullptr;
    std::unique_ptr<Batch> batch_;
    encoder::Features rows_;
  };
  // `seed`: of this call's randomness (dropout).
  at::Tensor forward_train(encoder::Features rows, uint64_t seed, std::unique_ptr<Saved>& saved);
  // Adds to the parameters' gradients for gy [n, classes].
  void vjp(Saved& saved, const at::Tensor& gy);

  // --- Training by itself (moecollab.fit/1)
  bool fits_itself() const { return fit_ != nullptr; }
  void fit_begin(int64_t rows, int32_t max_epochs, uint64_t seed);
  void fit_batch(const encoder::Features& rows, const at::Tensor& labels,
                 const at::Tensor& weights);
  bool fit_epoch_end();
  void fit_end();

  // Whether all that it learns are parameters of params/1; then they can be rounded to the values
  // that bfloat16 holds (after bind()).
  bool learns_parameters_only() const;
  void round_to_bfloat16();

  // Everything learnt: the values of params/1 and the tensors of state/1, as copies.
  std::vector<std::pair<std::string, at::Tensor>> learnt();

 private:
  void create();
  void check_requirements();
  at::Tensor forward_batch(const encoder::Features& rows);
  void check(moec_status status, const moec_error& error, const char* call) const;
  moec_exec exec(bool training) const;

  const Library* library_;
  ExpertSetup setup_;
  moec_expert* object_ = nullptr;
  encoder::FeatureRequest request_;
  Flops flops_;
  bool adopted_layers_ = false;
  std::unique_ptr<HostServices> host_;
  const moec_ext_params* params_ = nullptr;
  const moec_ext_train* train_ = nullptr;
  const moec_ext_fit* fit_ = nullptr;
  const moec_ext_state* state_ = nullptr;
  std::vector<Parameter> parameters_;
};

}  // namespace moecollab::experts
