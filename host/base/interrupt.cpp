#include "base/interrupt.h"

#include "base/error.h"

namespace moecollab {

std::atomic<bool>& stop_requested() {
  static std::atomic<bool> stop = false;
  return stop;
}

void stop_if_requested(const char* message, const char* hint) {
  if (stop_requested()) throw Error("E_INTERRUPTED", message, hint);
}

}  // namespace moecollab
