#include "conformance/test_host.h"

#include <moecollab/ext/draft/precision.h>
#include <moecollab/ext/encoder.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <string_view>

#include "conformance/reference_blocks.h"
#include "conformance/subject.h"

namespace moecollab::conformance {
namespace {

std::atomic<bool> stop_requested = false;

const Subject& subject_of(const moec_host* host) {
  return *static_cast<const Subject*>(host->context);
}

// Small values that the name decides; norms scale by 1.
moec_status encoder_weight(const moec_host* host, moec_string name, moec_tensor* out,
                           moec_error* error) {
  static std::map<std::string, std::unique_ptr<GuardedTensor>> made;
  const EncoderFacts& facts = subject_of(host).encoder();
  const std::string key(name.data, name.size);
  auto& tensor = made[key];
  if (!tensor) {
    const std::vector<int64_t> shape = block_weight_shape(facts.config, key);
    if (shape.empty()) {
      made.erase(key);
      return refuse(error, MOEC_INVALID_ARGUMENT, "there is no weight of that name");
    }
    tensor = std::make_unique<GuardedTensor>("encoder weight " + key, shape);
    std::mt19937 draw(static_cast<uint32_t>(std::hash<std::string>{}(key)));
    std::normal_distribution<float> normal(0, 0.05F);
    for (size_t i = 0; i < tensor->count(); ++i)
      tensor->floats()[i] = key.ends_with("LayerNorm.weight") ? 1.0F : normal(draw);
    tensor->memory.make_read_only();
  }
  *out = tensor->view;
  return MOEC_OK;
}

int32_t training_precision(const moec_host* host) {
  return subject_of(host).training_precision() == Precision::kBf16 ? MOEC_PRECISION_BF16
                                                                   : MOEC_PRECISION_FP32;
}

const void* get_extension(const moec_host*, const char* id) {
  static constexpr moec_ext_encoder kEncoder = {sizeof(moec_ext_encoder), &encoder_weight};
  static constexpr moec_ext_precision kPrecision = {sizeof(moec_ext_precision),
                                                    &training_precision};
  if (std::string_view(id) == MOEC_EXT_ENCODER) return &kEncoder;
  return std::string_view(id) == MOEC_EXT_PRECISION ? &kPrecision : nullptr;
}

const void* get_extension_or_blocks(const moec_host* host, const char* id) {
  return std::string_view(id) == MOEC_EXT_BLOCKS ? &reference_blocks() : get_extension(host, id);
}

void log(const moec_host*, int32_t, moec_string) {}
void progress(const moec_host*, int64_t, int64_t) {}
int32_t should_stop(const moec_host*) { return stop_requested ? 1 : 0; }

}  // namespace

moec_host test_host(Subject& subject, bool blocks) {
  return {sizeof(moec_host),
          MOEC_ABI_MAJOR,
          MOEC_ABI_MINOR,
          &subject,
          blocks ? &get_extension_or_blocks : &get_extension,
          &log,
          &progress,
          &should_stop};
}

void set_stop_of_test_host(bool stop) { stop_requested = stop; }

const encoder::BertConfig& config_of(const moec_host* host) {
  return subject_of(host).encoder().config;
}

moec_status refuse(moec_error* error, moec_status status, const std::string& message) {
  if (error != nullptr && MOEC_HAS(error, moec_error, message)) {
    error->code = status;
    std::snprintf(error->message, sizeof error->message, "%s", message.c_str());
  }
  return status;
}

}  // namespace moecollab::conformance
