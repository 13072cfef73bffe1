// In which precision a verb computes.
#pragma once

#include "engine/loaded_gate.h"
#include "engine/session.h"
#include "pipeline/open_gate.h"
#include "registry/precision_record.h"

namespace moecollab::engine {

// What learns does so on features in fp32; says so of auto. Throws E_CONFIG if another precision is
// asked for.
void require_fp32(const RunOptions& options, Log log);
// Says what auto comes to for a verb that answers with no gate.
void note_auto(const RunOptions& options, Log log);

// What a record must be of to count for the gate as it is used on the device.
registry::PrecisionUse precision_use(const fs::path& registry, const LoadedGate& gate,
                                     Device device);

struct AnsweringPrecision {
  Precision precision;
  pipeline::OtherPrecision other;  // than the gate's: permitted by a record
};
// For a verb that answers with the registry's gate: what is asked for, or what auto comes to by the
// registry's records (said); nothing is measured. Throws E_GATE if the gate was fitted in another
// precision and no record allows that, and for a gate that cannot be read; a missing one is
// load_gate()'s to report.
AnsweringPrecision answering_precision(const CommonOptions& options,
                                       std::optional<fusion::Mode> fusion,
                                       std::optional<int64_t> top_k, Log log);

}  // namespace moecollab::engine
