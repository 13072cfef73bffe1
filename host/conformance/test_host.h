// The host that packages are tried with: what it offers to a library.
#pragma once

#include <moecollab/abi.h>

#include <string>

#include "encoder/bert_config.h"

namespace moecollab::conformance {

class Subject;

// A host of that context. `blocks`: it offers moecollab.draft.blocks/1, by plain loops.
moec_host test_host(Subject& subject, bool blocks);
// should_stop() says 1 from now on, after `later` times 0; or never.
void set_stop_of_test_host(bool stop, int64_t later = 0);

// Since it first said 1 after the last such call; 0 if it never did.
double seconds_since_stop();

// What a library did wrong with the functions of such hosts, the first such thing; "": nothing.
std::string misuse_of_test_host();

// The encoder of such a host.
const encoder::BertConfig& config_of(const moec_host* host);
// Fills in `error`, which may be NULL; gives `status`.
moec_status refuse(moec_error* error, moec_status status, const std::string& message);

}  // namespace moecollab::conformance
