// Ctrl-C and SIGTERM: a run stops at its next step, where nothing is lost.
#pragma once

#include <atomic>

namespace moecollab {

// Set by a signal handler, polled between steps; experts are asked to return MOEC_CANCELLED soon.
std::atomic<bool>& stop_requested();

// Throws E_INTERRUPTED with this message and hint if a stop is requested.
void stop_if_requested(const char* message, const char* hint = "");

}  // namespace moecollab
