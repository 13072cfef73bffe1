// Writing an expert in C++17, without touching the C ABI:
//
//   #include <moecollab/expert.hpp>
//   class Clauses final : public moecollab::Expert {
//    public:
//     explicit Clauses(const moecollab::CreateInfo& info);
//     void forward(const moecollab::Batch& in, moecollab::Logits& out) override;
//   };
//   MOECOLLAB_LIBRARY(Clauses, "com.example.clauses", "1.2.0", moecollab::Input::pooled_mean);
//
// An expert that can be trained also derives from Trainable (the host's optimiser moves its
// parameters) or from SelfFitting (it learns by its own means), and from Stateful if it has learnt
// state that is no parameter, from Bottleneck if the host may compute forward() by itself; with
// LibTorch it derives from TorchExpert (torch_expert.hpp) alone.
// Exceptions become ABI errors: std::invalid_argument, std::bad_alloc, Unsupported, Cancelled;
// anything else is INTERNAL. No two calls on one object overlap. What the host hands in is checked
// against the contract of abi.h before a member function is called.
#ifndef MOECOLLAB_EXPERT_HPP_
#define MOECOLLAB_EXPERT_HPP_

#include <moecollab/ext/draft/bottleneck.h>
#include <moecollab/ext/draft/device.h>
#include <moecollab/ext/draft/explain.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>
#include <moecollab/note.h>

#include <memory>
#include <moecollab/views.hpp>
#include <string>
#include <vector>

namespace moecollab {

// What a library reads, compiled in; the manifest must say the same.
enum class Input : uint32_t {
  text = MOEC_INPUT_TEXT,
  tokens = MOEC_INPUT_TOKENS,
  hidden = MOEC_INPUT_HIDDEN,
  pooled = MOEC_INPUT_POOLED,  // mean or cls, as the manifest says
  pooled_mean = MOEC_INPUT_POOLED | (MOEC_POOLING_MEAN << 8),
  pooled_cls = MOEC_INPUT_POOLED | (MOEC_POOLING_CLS << 8),
};
// Reads both.
constexpr Input operator|(Input a, Input b) {
  return static_cast<Input>(static_cast<uint32_t>(a) | static_cast<uint32_t>(b));
}

// "This expert cannot do that."
class Unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// "The host said should_stop()."
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("cancelled by the host") {}
};

// What every expert may say of itself, whichever tier it is written in.
class ExpertBase {
 public:
  virtual ~ExpertBase() = default;
  // Cost of a row of t tokens, 2 per multiply-add: row + t·token + t²·pair; 0: not stated.
  struct Flops {
    int64_t row = 0, token = 0, pair = 0;
  };
  // Cost of forward(); what reports count as computation.
  virtual Flops flops() const { return {}; }
  // Most rows of one call; 0: any. The manifest says the same.
  virtual int64_t max_batch() const { return 0; }
  // The layers that it reads, if its [config] decides that and not the manifest alone; empty:
  // those of the manifest.
  virtual std::vector<int32_t> layers() const { return {}; }
};

// An expert whose answers are all that the host needs of it.
class Expert : public ExpertBase {
 public:
  // Writes every element of out [n × classes]; a row's result depends on that row alone.
  virtual void forward(const Batch& in, Logits& out) = 0;
};

// A tensor of an expert: name in weights.safetensors and shape.
struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
};
// A tensor that the host's optimiser may move.
struct ParameterSpec : TensorSpec {
  bool trainable = true;
  bool decay = true;      // false for biases
  float lr_scale = 1.0F;  // times the host's learning rate
};

// moecollab.params/1 and moecollab.train/1: the host owns values and gradients.
class Trainable {
 public:
  // What a forward pass keeps for its vjp.
  struct Saved {
    virtual ~Saved() = default;
  };
  virtual ~Trainable() = default;
  // The same in all the expert's life.
  virtual const std::vector<ParameterSpec>& parameters() const = 0;
  // values[i] and grads[i] are parameter i's from now on, whether it is trainable or not; the host
  // sets gradients to 0 when it begins to add up.
  virtual void bind(const std::vector<float*>& values, const std::vector<float*>& grads) = 0;
  // Writes initial values into the bound storage; equal seeds, equal bits. Units of a hidden layer
  // that begin alike, as at 0, stay alike.
  virtual void init(uint64_t seed) = 0;
  // The host wrote values: drop what was derived from them. Follows init(), too, but not a
  // constructor that reads weights.
  virtual void params_changed() {}
  // The same for a class that stands between this one and an expert; called first.
  virtual void before_params_changed() {}
  // As forward(), and gives what its vjp needs. Until that is gone `in` and its copies stay valid
  // and unchanged and no parameter is written; any number may live. exec.seed seeds the call's
  // randomness.
  virtual std::unique_ptr<Saved> forward_train(const Batch& in, Logits& out,
                                               const moec_exec& exec) = 0;
  // For gy [n × classes], once for each Saved. Adds parameter gradients; writes gx[i] (elements in
  // the shape of float input i: hidden of each layer, then pooled of each) if not NULL.
  virtual void vjp(Saved& saved, const Matrix<const float>& gy, const std::vector<float*>& gx) = 0;
};

// moecollab.fit/1: the expert trains itself. Calls come as fit_begin, then for each epoch fit_batch
// … and fit_epoch_end, at last fit_end; between epochs and afterwards forward() answers with what
// was learnt so far. ext/fit.h has the rules.
class SelfFitting {
 public:
  virtual ~SelfFitting() = default;
  // Forgets what was learnt. rows: texts per epoch. Equal seeds and calls, equal bits.
  virtual void fit_begin(int64_t rows, int32_t max_epochs, uint64_t seed) = 0;
  // labels [n] in [0, classes), some perhaps never; weights [n] >= 0, of any scale: all of them
  // times ten mean the same, up to rounding. Every epoch brings the same rows in another order.
  virtual void fit_batch(const Batch& in, View<const int32_t> labels,
                         View<const float> weights) = 0;
  // False if the answers stay as they are whatever epochs follow, since some may: count each text
  // in the first epoch only, or want more.
  virtual bool fit_epoch_end() = 0;
  // Training is over: free what only training needs.
  virtual void fit_end() {}
};

// moecollab.state/1: learnt tensors that are no parameters.
class Stateful {
 public:
  virtual ~Stateful() = default;
  // The same in all the expert's life.
  virtual const std::vector<TensorSpec>& state() const = 0;
  // Copies tensor `index` of state() out, all its elements.
  virtual void read_state(size_t index, View<float> destination) = 0;
  // Replaces tensor `index`; what was read from one object makes another give the same bits.
  virtual void write_state(size_t index, View<const float> source) = 0;
};

// moecollab.draft.bottleneck/1, a draft: forward() is the model of ext/draft/bottleneck.h.
class Bottleneck {
 public:
  virtual ~Bottleneck() = default;
  // Throws Unsupported if there are no weights yet.
  virtual moec_bottleneck matrices() const = 0;
};

// moecollab.draft.explain/1, a draft: what of a text speaks for a class, for people.
class Explaining {
 public:
  virtual ~Explaining() = default;
  // At most `most` parts of the text of a batch of one row, the greatest magnitudes first.
  virtual std::vector<moec_evidence> explain(const Batch& row, int32_t label, size_t most) = 0;
};

}  // namespace moecollab

#include <moecollab/detail/shim.hpp>

// Makes the class the library's expert: the entry point and the ABI note. Literals only.
#define MOECOLLAB_LIBRARY(Class, id, version, inputs)                       \
  MOEC_LIBRARY_NOTE(id, version);                                           \
  extern "C" MOEC_EXPORT const moec_library* moec_plugin_entry(void) {      \
    return ::moecollab::detail::Library<Class>::table(id, version, inputs); \
  }                                                                         \
  static_assert(sizeof(id) <= 128 && sizeof(version) <= 32, "id or version too long")

#endif  // MOECOLLAB_EXPERT_HPP_
