#include "experts/host_services.h"

#include <string_view>

#include "base/console.h"
#include "base/strings.h"

namespace moecollab::experts {
namespace {

const void* get_extension(const moec_host*, const char*) {
  return nullptr;
}  // 0.9 has none of its own

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

std::atomic<bool>& stop_requested() {
  static std::atomic<bool> stop = false;
  return stop;
}

const moec_host& host_services() {
  static const moec_host table = {sizeof(moec_host), MOEC_ABI_MAJOR, MOEC_ABI_MINOR, nullptr,
                                  &get_extension,    &log,           &progress,      &should_stop};
  return table;
}

}  // namespace moecollab::experts
