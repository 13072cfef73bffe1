#include "conformance/test_host.h"

#include <fmt/format.h>
#include <moecollab/ext/draft/precision.h>
#include <moecollab/ext/encoder.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

#include "base/strings.h"
#include "conformance/noise.h"
#include "conformance/reference_blocks.h"
#include "conformance/subject.h"

namespace moecollab::conformance {
namespace {

constexpr int64_t kNeverStop = std::numeric_limits<int64_t>::max();
std::atomic<int64_t> asks_left = kNeverStop;
std::atomic<int64_t> stopped_at = 0;  // by now(), when it first said 1

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const void* the_subject = nullptr;  // the context of every host

const Subject& subject_of(const moec_host* host) {
  return *static_cast<const Subject*>(host->context);
}

// Small values that the name decides; norms scale by 1.
moec_status encoder_weight(const moec_host* host, moec_string name, moec_tensor* out,
                           moec_error* error) {
  static std::mutex mutex;
  static auto& made = *new std::map<std::string, std::unique_ptr<GuardedTensor>>();  // for ever
  const std::lock_guard lock(mutex);
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
    Noise noise(std::hash<std::string>{}(key));
    for (size_t i = 0; i < tensor->count(); ++i)
      tensor->floats()[i] = key.ends_with("LayerNorm.weight") ? 1.0F : 0.05F * noise.next();
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

// --- functions that look at what they are given

std::mutex misuse_mutex;
std::string first_misuse;

void require(bool right, const char* function, const std::string& wrong) {
  const std::lock_guard lock(misuse_mutex);
  if (!right && first_misuse.empty()) first_misuse = fmt::format("{}() got {}", function, wrong);
}

void require_host(const moec_host* host, const char* function) {
  require(host != nullptr && host->context == the_subject, function, "another host than its own");
}

void log(const moec_host* host, int32_t level, moec_string message) {
  require_host(host, "log");
  require(level >= 0 && level <= 2, "log", fmt::format("level {}", level));
  const std::string text(message.size == 0 ? "" : message.data, message.size);
  require(is_utf8(text), "log", "a message that is no UTF-8");
}

void progress(const moec_host* host, int64_t done, int64_t total) {
  require_host(host, "progress");
  require(0 <= done && done <= total, "progress", fmt::format("{} of {}", done, total));
}

int32_t should_stop(const moec_host* host) {
  require_host(host, "should_stop");
  if (asks_left == kNeverStop) return 0;
  if (asks_left-- > 0) return 0;
  int64_t none = 0;
  stopped_at.compare_exchange_strong(none, now());
  return 1;
}

}  // namespace

moec_host test_host(Subject& subject, bool blocks) {
  the_subject = &subject;
  return {sizeof(moec_host),
          MOEC_ABI_MAJOR,
          MOEC_ABI_MINOR,
          &subject,
          blocks ? &get_extension_or_blocks : &get_extension,
          &log,
          &progress,
          &should_stop};
}

void set_stop_of_test_host(bool stop, int64_t later) {
  asks_left = stop ? later : kNeverStop;
  stopped_at = 0;
}

double seconds_since_stop() {
  const int64_t since = stopped_at;
  return since == 0 ? 0 : static_cast<double>(now() - since) * 1e-9;
}

std::string misuse_of_test_host() {
  const std::lock_guard lock(misuse_mutex);
  return first_misuse;
}

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
