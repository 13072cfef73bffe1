#include "experts/host_services.h"

#include <moecollab/ext/encoder.h>

#include <string_view>

#include "base/console.h"
#include "base/interrupt.h"
#include "base/strings.h"
#include "experts/abi_views.h"

namespace moecollab::experts {
namespace {

moec_status encoder_weight(const moec_host* host, moec_string name, moec_tensor* out,
                           moec_error* error) {
  const auto fail = [error](moec_status code, std::string_view message) {
    if (error != nullptr && MOEC_HAS(error, moec_error, message)) {
      error->code = code;
      const size_t size = message.copy(error->message, sizeof error->message - 1);
      error->message[size] = '\0';
    }
    return code;
  };
  try {
    const std::string key(name.data, name.size);
    const at::Tensor* weight = static_cast<const encoder::Encoder*>(host->context)->weight(key);
    if (weight == nullptr) return fail(MOEC_INVALID_ARGUMENT, "there is no weight of that name");
    *out = to_abi(*weight);
    return MOEC_OK;
  } catch (const std::exception& e) {  // the weights are read at the first call
    return fail(MOEC_INTERNAL, e.what());
  }
}

const void* get_extension(const moec_host* host, const char* id) {
  static constexpr moec_ext_encoder kEncoder = {sizeof(moec_ext_encoder), &encoder_weight};
  const bool asked = std::string_view(id) == MOEC_EXT_ENCODER;
  return asked && host->context != nullptr ? &kEncoder : nullptr;
}

void log(const moec_host*, int32_t level, moec_string message) {
  const std::string text = "expert: " + escaped(std::string_view(message.data, message.size), 500);
  if (level >= 2) {
    print_warning(text);
  } else if (level == 1) {
    print_note(text);
  }
}

void progress(const moec_host*, int64_t, int64_t) {}  // the host shows its own progress, by rows

int32_t should_stop(const moec_host*) { return stop_requested() ? 1 : 0; }

}  // namespace

moec_host host_services(const encoder::Encoder* encoder) {
  // The table is the library's to read only; get_extension() gives const access back.
  return {sizeof(moec_host), MOEC_ABI_MAJOR, MOEC_ABI_MINOR, const_cast<encoder::Encoder*>(encoder),
          &get_extension,    &log,           &progress,      &should_stop};
}

}  // namespace moecollab::experts
