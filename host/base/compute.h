// Where, in what numbers and on how many threads a run computes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab {

// kPrivateUse1 is LibTorch's name for a device that somebody else registers: a test does.
enum class DeviceType { kCpu, kCuda, kPrivateUse1 };
struct Device {
  DeviceType type = DeviceType::kCpu;
  int index = 0;  // among those of the type

  bool is_cpu() const { return type == DeviceType::kCpu; }
  bool operator==(const Device&) const = default;
};
// The numbers of products. On a CPU sums, norms and parameters are float32 in all; on a GPU weights
// and states are in these numbers too, and sums float32. int8 is of the encoder on a CPU only, fp16
// on a GPU only.
enum class Precision { kFp32, kFp16, kBf16, kInt8 };
inline constexpr std::array kPrecisions = {Precision::kFp32, Precision::kFp16, Precision::kBf16,
                                           Precision::kInt8};

const char* name(DeviceType type);
const char* name(Precision precision);
// "cpu", "cuda:0".
std::string name(Device device);
// That of the name; nullopt if there is none.
std::optional<Precision> find_precision(std::string_view name);

// Raised whenever a change of the host's kernels moves a bit of what they give for equal input:
// what was cached or probed before is then computed again.
inline constexpr int kKernelRevision = 3;

// The cores that this process may use.
int usable_cores();
// How OpenMP's threads wait for work, as "NAME=value" of the environment: they spin for some 30 µs
// and then sleep, unless this process's environment says otherwise.
std::vector<std::string> thread_waiting();
// Sets that in this process's environment. To be called before libgomp is loaded, which reads it
// once.
void set_thread_waiting();
// What the CPU calls itself; "unknown" if the system does not say.
std::string cpu_model();

// Resolved once from what was asked for, and handed to all that computes.
struct Compute {
  Device device = {};
  Precision precision = Precision::kFp32;
  int threads = usable_cores();

  // Everything that numbers depend on beside versions, for caches, probe records and digests:
  // "cpu fp32", from the second kernel revision on followed by it. Threads and the device's index
  // are no part of it.
  std::string identity(int kernel_revision = kKernelRevision) const;
  // The same in another precision.
  Compute in(Precision other) const;
};

// cpu, cuda (the first) or cuda:N. Throws E_CONFIG for another; whether it is here is another
// question.
Device parse_device(std::string_view asked);
// That of the name. Throws E_CONFIG.
Precision parse_precision(std::string_view asked);
// The same for fp32 and bf16 only, naming `what`.
Precision parse_precision(std::string_view text, std::string_view what);
// Throws E_CONFIG unless that device computes with such numbers.
void require_precision(const Compute& compute);

// Real tokens of one encoder pass that suit the device: enough to keep it busy, and few enough for
// a core's cache on the CPU.
int64_t usual_batch_tokens(Device device);

// Whether this CPU multiplies such numbers itself. Without that, training in bf16 is right, and
// slow; the encoder refuses, since int8 products of two would saturate in 16 bits.
bool cpu_has(Precision precision);

// Those of kPrecisions that the device computes with.
std::vector<Precision> usable_precisions(Device device = {});

// Whether this CPU multiplies bf16 numbers faster than fp32 ones. Intel's do so in their AMX units;
// their AVX-512, which is left if a virtual machine hides those, takes bf16 at half the rate of
// fp32 (docs/performance.md).
bool bf16_is_faster();

// What a kind trains in that asks for `stated` ("auto", "fp32" or "bf16"; none: fp32). auto is bf16
// if that is faster, else fp32; MOECOLLAB_TRAINING_PRECISION=fp32|bf16 decides auto on any CPU, for
// tests.
Precision resolve_training_precision(const std::optional<std::string>& stated);

}  // namespace moecollab
