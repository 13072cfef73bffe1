// Where, in what numbers and on how many threads a run computes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab {

enum class Device { kCpu };
// The numbers of products; sums, norms and parameters are float32 in all. int8 is of the encoder
// only.
enum class Precision { kFp32, kBf16, kInt8 };
inline constexpr std::array kPrecisions = {Precision::kFp32, Precision::kBf16, Precision::kInt8};

const char* name(Device device);
const char* name(Precision precision);
// That of the name; nullopt if there is none.
std::optional<Precision> find_precision(std::string_view name);

// Raised whenever a change of the host's kernels moves a bit of what they give for equal input:
// what was cached or probed before is then computed again.
inline constexpr int kKernelRevision = 3;

// The cores that this process may use.
int usable_cores();
// What the CPU calls itself; "unknown" if the system does not say.
std::string cpu_model();

// Resolved once from what was asked for, and handed to all that computes.
struct Compute {
  Device device = Device::kCpu;
  Precision precision = Precision::kFp32;
  int threads = usable_cores();

  // Everything that numbers depend on beside versions, for caches, probe records and digests:
  // "cpu fp32", from the second kernel revision on followed by it. Threads are no part of it.
  std::string identity(int kernel_revision = kKernelRevision) const;
  // The same in another precision.
  Compute in(Precision other) const;
};

// Both throw E_CONFIG naming what this version, or this CPU, does not compute with. `auto` is the
// CPU.
Device resolve_device(std::string_view asked);
Precision resolve_precision(std::string_view asked);

// Throws E_CONFIG naming `what` for anything but fp32 and bf16.
Precision parse_precision(std::string_view text, std::string_view what);

// Whether this CPU multiplies such numbers itself. Without that, training in bf16 is right, and
// slow; the encoder refuses, since int8 products of two would saturate in 16 bits.
bool cpu_has(Precision precision);

// Those of kPrecisions that this CPU has.
std::vector<Precision> usable_precisions();

// What a kind trains in that asks for `stated` ("auto", "fp32" or "bf16"; none: fp32). auto is bf16
// if the CPU has it, else fp32; MOECOLLAB_TRAINING_PRECISION=fp32|bf16 decides auto on any CPU, for
// tests.
Precision resolve_training_precision(const std::optional<std::string>& stated);

}  // namespace moecollab
