// In what numbers a run computes.
#pragma once

#include <string_view>

namespace moecollab {

// Of products; sums, norms and parameters are float32 in both.
enum class Precision { kFp32, kBf16 };

const char* name(Precision precision);
// Throws E_CONFIG naming `what` for anything but fp32 and bf16.
Precision parse_precision(std::string_view text, std::string_view what);

// Whether this CPU multiplies bfloat16 numbers itself. Without that bf16 is right, and slow.
bool cpu_has_bf16();

// What a kind trains in that asks for `stated` ("auto", "fp32" or "bf16"). auto is bf16 if the CPU
// has it, else fp32; MOECOLLAB_TRAINING_PRECISION=fp32|bf16 decides auto on any CPU, for tests.
Precision resolve_training_precision(std::string_view stated);

}  // namespace moecollab
