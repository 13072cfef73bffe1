// What the host gives to libraries: the moec_host table.
#pragma once

#include <moecollab/abi.h>

#include <functional>
#include <string>

#include "experts/expert_setup.h"

namespace moecollab::experts {

// The host as one expert sees it; moec_host.context points to it. Outlives the expert; stays where
// it is. Thread-safe.
class HostServices {
 public:
  // Takes name (for log lines; empty: the listener knows it), context, encoder weights (none: a
  // host without moecollab.encoder/1 and draft.blocks/1) and the precision of training
  // (moecollab.draft.precision/1).
  explicit HostServices(const ExpertSetup& setup);
  HostServices(const HostServices&) = delete;
  HostServices& operator=(const HostServices&) = delete;

  const moec_host& table() const { return table_; }
  const std::string& name() const { return name_; }
  const encoder::Encoder* encoder() const { return encoder_; }
  Precision training() const { return training_; }
  const RunContext& context() const { return context_; }

 private:
  std::string name_;
  const encoder::Encoder* encoder_;
  Precision training_;
  RunContext context_;
  moec_host table_;
};

// The services of the host that a library passes back.
const HostServices& services(const moec_host* host);

// What a call of the host's gives a library: MOEC_OK, or the code of what `call` threw with its
// message in *error (which may be null): MOEC_INVALID_ARGUMENT for std::invalid_argument,
// MOEC_OUT_OF_MEMORY if a device has no memory left, else MOEC_INTERNAL.
moec_status guarded(moec_error* error, const std::function<void()>& call);

}  // namespace moecollab::experts
