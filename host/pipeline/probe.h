// Probe vectors: texts and the logits that an expert must give for them on this very encoder.
#pragma once

#include "encoder/encoder.h"
#include "experts/expert.h"
#include "registry/package.h"

namespace moecollab::pipeline {

inline constexpr const char* kProbeFile = "probe.json";

// {"schema", "texts", "logits", "tolerance"} for these texts, as the expert answers now.
Json make_probe(experts::Expert& expert, encoder::Encoder* encoder,
                std::span<const std::string> texts);

// Runs the package's probe.json, by the expert's library and by the host's own code if it has that
// for the expert. False if it has none; throws E_DESC_PROBE naming text, class, both values and
// tolerance, and who computed, if the answer is another; E_REG_SCHEMA for a malformed file.
bool check_probe(const registry::Package& package, experts::Expert& expert,
                 encoder::Encoder* encoder);

}  // namespace moecollab::pipeline
