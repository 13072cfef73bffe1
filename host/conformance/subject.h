// The package under test: its library, and objects and batches to try it with. Plain C ABI and
// guarded memory; no tensor library.
#pragma once

#include <moecollab/abi.h>
#include <moecollab/ext/draft/bottleneck.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>

#include <functional>
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

// Bytes that the process has allocated and not freed; malloc keeps some that were freed.
int64_t heap_in_use();
// How many more are in use after `run`, the least of three runs, since a leak grows with each: 0 if
// it is no more than `allowed` once.
int64_t least_growth(int64_t allowed, const std::function<void()>& run);

// A parameter of params/1 with storage of the host's.
struct Parameter {
  std::string name;
  bool trainable;
  float lr_scale;  // times the host's learning rate
  std::unique_ptr<GuardedTensor> value, grad;
};

// Everything that checks share.
class Subject {
 public:
  Subject(registry::Package package, EncoderFacts encoder, uint64_t seed);
  Subject(const Subject&) = delete;

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
  // LibTorch keeps memory and a pool of threads of its own.
  bool uses_torch() const { return !manifest().abi.libtorch.empty(); }

  const std::string& library_bytes() const { return bytes_; }
  const std::string& library_path() const { return path_; }
  // Loaded at the first call; from then on a confined process starts no other.
  const experts::Library& library();
  // This process is confined (worker/confinement.h).
  void confine();
  const moec_library& table() { return library().table(); }
  const moec_ext_params* params() { return library().extension<moec_ext_params>(MOEC_EXT_PARAMS); }
  const moec_ext_train* train() { return library().extension<moec_ext_train>(MOEC_EXT_TRAIN); }
  const moec_ext_fit* fit() { return library().extension<moec_ext_fit>(MOEC_EXT_FIT); }
  const moec_ext_bottleneck* bottleneck() {
    return library().extension<moec_ext_bottleneck>(MOEC_EXT_BOTTLENECK);
  }
  const moec_ext_state* state() { return library().extension<moec_ext_state>(MOEC_EXT_STATE); }

  const moec_host& host() const { return host_; }
  // The host of objects made from now on, which lives as long as they do; at first host().
  void use(const moec_host* host) { host_in_use_ = host; }
  // Whether the host of objects made from now on offers moecollab.draft.blocks/1; at first not.
  void offer_blocks(bool offered) { use(offered ? &host_with_blocks_ : &host_); }
  // Whether create() is lent everything for the call only from now on; at first it may keep it.
  void lend_briefly(bool briefly) { lends_briefly_ = briefly; }
  bool lends_briefly() const { return lends_briefly_; }
  // These values are the package's weights from now on.
  void adopt(const std::vector<Parameter>& parameters);
  // What create() is given from now on is changed so, if not by an `edit` of its own.
  void alter_info(std::function<void(moec_create_info&)> edit) { alter_info_ = std::move(edit); }
  // should_stop() says 1 from now on, after `later` times 0; or never.
  static void set_stop(bool stop, int64_t later = 0);
  // create() with the package's values, changed by `edit` before the call.
  moec_status create(moec_expert** expert, moec_error* error,
                     const std::function<void(moec_create_info&)>& edit = {});
  // Calls `with` with the package's values, which live for the call.
  void with_info(const std::function<void(moec_create_info&)>& with);
  // The layers that the manifest asks for, from the lowest.
  const std::vector<int32_t>& layers() const { return layers_; }
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
  const moec_host* host_in_use_ = &host_;
  std::function<void(moec_create_info&)> alter_info_;
  bool lends_briefly_ = false;
  const experts::Library* library_ = nullptr;
  bool confined_ = false;
  std::vector<std::pair<std::string, std::unique_ptr<GuardedTensor>>> weights_;
  std::vector<std::unique_ptr<LentInfo>> taken_back_;  // so that nothing else gets its place
};

}  // namespace moecollab::conformance
