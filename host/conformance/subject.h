// The package under test: its library, and objects and batches to try it with. Plain C ABI and
// guarded memory; no tensor library.
#pragma once

#include <moecollab/abi.h>
#include <moecollab/ext/draft/bottleneck.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/compute.h"
#include "base/error.h"
#include "conformance/lent_info.h"
#include "conformance/test_batch.h"
#include "encoder/bert_config.h"
#include "experts/library.h"
#include "registry/package.h"

namespace moecollab::conformance {

// Sizes of the encoder whose features the batches imitate, and what the host tells experts.
struct EncoderFacts {
  encoder::BertConfig config;
  int32_t max_length = 64;
  std::string fingerprint = std::string(64, '0');
};

// A small encoder that no model has, for packages that were trained on none.
EncoderFacts toy_encoder();

// A call that the library refused or failed.
struct CallFailed : std::runtime_error {
  CallFailed(const std::string& call, moec_status status, const moec_error& error);
  moec_status status;
};

moec_error empty_error();
std::string message_of(const moec_error& error);

// Bytes that the process has allocated and not freed.
int64_t heap_in_use();

class Subject;

// One object of the library. Parameters, if it has any, are bound to guarded storage and hold
// the package's weights or initial values; an expert that fits itself and has no weights has learnt
// a toy set. Every call throws CallFailed for a status other than MOEC_OK.
class TestExpert {
 public:
  explicit TestExpert(Subject& subject, uint64_t seed = 1, bool ready = true);
  ~TestExpert();
  TestExpert(const TestExpert&) = delete;

  moec_expert* get() const { return object_; }
  const moec_requirements& requirements() const { return requirements_; }
  // Logits [rows · classes] in guarded memory; `outside` (if given) says what was written round it.
  std::vector<float> forward(const TestBatch& batch, std::string* outside = nullptr);
  std::vector<float> forward(const TestBatch& batch, const moec_exec& exec,
                             std::string* outside = nullptr);
  // `rows`, or its largest batch if that is smaller.
  size_t at_most(size_t rows) const;
  std::vector<TestBatch::Row> rows(size_t count, uint64_t seed) const;
  TestBatch batch(const std::vector<TestBatch::Row>& rows, bool read_only = true) const;

  struct Parameter {
    std::string name;
    bool trainable;
    std::unique_ptr<GuardedTensor> value, grad;
  };
  std::vector<Parameter>& parameters() { return parameters_; }
  void params_changed();
  // Adds small numbers that the seed decides to all parameters, and says that they changed.
  void vary(uint32_t seed, float deviation);
  void bind(uint64_t seed);
  // `briefly`: each call is lent a batch of its own, which is then taken back.
  void fit_toy(const std::vector<TestBatch::Row>& rows, const std::vector<int32_t>& labels,
               const std::vector<float>& weights, int epochs, bool briefly = false);

 private:
  Subject& subject_;
  moec_expert* object_ = nullptr;
  moec_requirements requirements_{};
  std::vector<Parameter> parameters_;
};

// Everything that checks share.
class Subject {
 public:
  Subject(registry::Package package, EncoderFacts encoder, uint64_t seed);

  const registry::Package& package() const { return package_; }
  const registry::Manifest& manifest() const { return package_.manifest; }
  const EncoderFacts& encoder() const { return encoder_; }
  // What its products in training are computed in: float32 if the expert can, else what its
  // manifest declares. The host's moecollab.draft.precision/1 says it.
  Precision training_precision() const { return training_precision_; }
  uint64_t seed() const { return seed_; }
  int32_t classes() const;
  uint32_t inputs() const;
  bool has_weights() const { return !weights_.empty(); }

  const std::string& library_bytes() const { return bytes_; }
  const std::string& library_path() const { return path_; }
  const experts::Library& library();  // loaded at the first call
  const moec_library& table() { return library().table(); }
  const moec_ext_params* params() { return library().extension<moec_ext_params>(MOEC_EXT_PARAMS); }
  const moec_ext_train* train() { return library().extension<moec_ext_train>(MOEC_EXT_TRAIN); }
  const moec_ext_fit* fit() { return library().extension<moec_ext_fit>(MOEC_EXT_FIT); }
  const moec_ext_bottleneck* bottleneck() {
    return library().extension<moec_ext_bottleneck>(MOEC_EXT_BOTTLENECK);
  }
  const moec_ext_state* state() { return library().extension<moec_ext_state>(MOEC_EXT_STATE); }

  const moec_host& host() const { return host_; }
  // Whether the host of objects made from now on offers moecollab.draft.blocks/1; at first not.
  void offer_blocks(bool offered) { offers_blocks_ = offered; }
  // Whether create() is lent everything for the call only from now on; at first it may keep it.
  void lend_briefly(bool briefly) { lends_briefly_ = briefly; }
  bool lends_briefly() const { return lends_briefly_; }
  // These values are the package's weights from now on.
  void adopt(const std::vector<TestExpert::Parameter>& parameters);
  // What should_stop() says from now on.
  static void set_stop(bool stop);
  // create() with the package's values, changed by `edit` before the call.
  moec_status create(moec_expert** expert, moec_error* error,
                     const std::function<void(moec_create_info&)>& edit = {});
  moec_exec exec(bool training = false, uint64_t seed = 0) const;
  const std::vector<std::pair<std::string, std::unique_ptr<GuardedTensor>>>& weights() const {
    return weights_;
  }

 private:
  void read_weights();

  registry::Package package_;
  EncoderFacts encoder_;
  Precision training_precision_;
  uint64_t seed_;
  std::string bytes_, path_, config_, sha256_;
  std::vector<int32_t> layers_;
  moec_encoder_info encoder_info_{};
  moec_host host_{}, host_with_blocks_{};
  bool offers_blocks_ = false, lends_briefly_ = false;
  const experts::Library* library_ = nullptr;
  std::vector<std::pair<std::string, std::unique_ptr<GuardedTensor>>> weights_;
  std::vector<std::unique_ptr<LentInfo>> taken_back_;  // so that nothing else gets its place
};

}  // namespace moecollab::conformance
