#include "experts/host_services.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <moecollab/ext/draft/precision.h>
#include <moecollab/ext/encoder.h>

#include <stdexcept>
#include <string_view>

#include "base/strings.h"
#include "encoder/device.h"
#include "experts/abi_views.h"
#include "experts/host_blocks.h"

namespace moecollab::experts {
namespace {

moec_status fail(moec_error* error, moec_status code, std::string_view message) {
  if (error != nullptr && MOEC_HAS(error, moec_error, message)) {
    error->code = code;
    const size_t size = message.copy(error->message, sizeof error->message - 1);
    error->message[size] = '\0';
  }
  return code;
}

moec_status encoder_weight(const moec_host* host, moec_string name, moec_tensor* out,
                           moec_error* error) {
  return guarded(error, [&] {  // the weights are read at the first call
    const std::string key(name.data, name.size);
    const at::Tensor* weight = services(host).encoder()->weight(key);
    if (weight == nullptr) throw std::invalid_argument("there is no weight of that name");
    *out = to_abi(*weight);
  });
}

int32_t training_precision(const moec_host* host) {
  return services(host).training() == Precision::kBf16 ? MOEC_PRECISION_BF16 : MOEC_PRECISION_FP32;
}

const void* get_extension(const moec_host* host, const char* id) {
  static constexpr moec_ext_encoder kEncoder = {sizeof(moec_ext_encoder), &encoder_weight};
  static constexpr moec_ext_precision kPrecision = {sizeof(moec_ext_precision),
                                                    &training_precision};
  const std::string_view asked = id;
  if (asked == MOEC_EXT_ENCODER && services(host).encoder() != nullptr) return &kEncoder;
  if (asked == MOEC_EXT_BLOCKS && services(host).encoder() != nullptr) return &host_blocks();
  return asked == MOEC_EXT_PRECISION ? &kPrecision : nullptr;
}

void log(const moec_host* host, int32_t level, moec_string message) {
  std::string text = escaped(std::string_view(message.data, message.size), 500);
  if (const std::string& name = services(host).name(); !name.empty())
    text = fmt::format("expert {}: {}", escaped(name), text);
  if (level >= 2) {
    services(host).context().log.warning(text);
  } else if (level == 1) {
    services(host).context().log.note(text);
  }
}

void progress(const moec_host*, int64_t, int64_t) {}  // the host shows its own progress, by rows

int32_t should_stop(const moec_host* host) {
  return services(host).context().stop.requested() ? 1 : 0;
}

}  // namespace

const HostServices& services(const moec_host* host) {
  return *static_cast<const HostServices*>(host->context);
}

moec_status guarded(moec_error* error, const std::function<void()>& call) {
  try {
    call();
    return MOEC_OK;
  } catch (const std::invalid_argument& e) {
    return fail(error, MOEC_INVALID_ARGUMENT, e.what());
  } catch (const c10::Error& e) {
    const moec_status code =
        encoder::is_out_of_memory(e) ? MOEC_OUT_OF_MEMORY : moec_status{MOEC_INTERNAL};
    return fail(error, code, e.what_without_backtrace());
  } catch (const std::exception& e) {
    return fail(error, MOEC_INTERNAL, e.what());
  }
}

HostServices::HostServices(const ExpertSetup& setup)
    : name_(setup.name),
      encoder_(setup.encoder_weights),
      training_(setup.training),
      context_(setup.context),
      table_{sizeof(moec_host), MOEC_ABI_MAJOR, MOEC_ABI_MINOR, this,
             &get_extension,    &log,           &progress,      &should_stop} {}

}  // namespace moecollab::experts
