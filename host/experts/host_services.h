// What the host gives to libraries: the moec_host table.
#pragma once

#include <moecollab/abi.h>

#include <atomic>

namespace moecollab::experts {

// The one table of this process.
const moec_host& host_services();

// Set by an interrupt: experts are asked to return MOEC_CANCELLED soon.
std::atomic<bool>& stop_requested();

}  // namespace moecollab::experts
