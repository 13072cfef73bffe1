// What the host gives to libraries: the moec_host table.
#pragma once

#include <moecollab/abi.h>

#include "base/compute.h"
#include "encoder/encoder.h"

namespace moecollab::experts {

// The host as one expert sees it. Outlives the expert; stays where it is.
class HostServices {
 public:
  // `encoder`: whose weights moecollab.encoder/1 offers, or nullptr for a host without that
  // extension. `training`: what moecollab.draft.precision/1 says.
  HostServices(const encoder::Encoder* encoder, Precision training);
  HostServices(const HostServices&) = delete;
  HostServices& operator=(const HostServices&) = delete;

  const moec_host& table() const { return table_; }
  const encoder::Encoder* encoder() const { return encoder_; }
  Precision training() const { return training_; }

 private:
  const encoder::Encoder* encoder_;
  Precision training_;
  moec_host table_;
};

}  // namespace moecollab::experts
