// What the host gives to libraries: the moec_host table.
#pragma once

#include <moecollab/abi.h>

#include "encoder/encoder.h"

namespace moecollab::experts {

// The host's table for one expert. `encoder`: whose weights moecollab.encoder/1 offers, or nullptr
// for a host without that extension.
moec_host host_services(const encoder::Encoder* encoder);

}  // namespace moecollab::experts
