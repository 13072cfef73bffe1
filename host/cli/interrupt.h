// Ctrl-C and SIGTERM.
#pragma once

#include "base/run_context.h"

namespace moecollab::cli {

// From now on the first such signal asks the run to stop, and the second ends the process at once.
void catch_interrupts();
// What the first one sets.
StopToken interrupt_token();
// Sets it too, with no signal.
void request_stop();
// The exit status of a run that a signal ended: 130 for SIGINT, 143 for SIGTERM.
int interrupted_status();

}  // namespace moecollab::cli
