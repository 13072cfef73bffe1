#include "base/compute.h"

#include <fmt/format.h>
#include <sched.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

constexpr const char* kTrainingVariable = "MOECOLLAB_TRAINING_PRECISION";

// Threads that spin slow a busy machine down, other processes of this program first; but for the
// few microseconds between two operators, to sleep and be woken takes longer.
constexpr std::pair<const char*, const char*> kThreadWaiting[] = {{"OMP_WAIT_POLICY", "passive"},
                                                                  {"GOMP_SPINCOUNT", "2000"}};

}  // namespace

const char* name(DeviceType type) {
  switch (type) {
    case DeviceType::kCpu:
      return "cpu";
    case DeviceType::kCuda:
      return "cuda";
    case DeviceType::kPrivateUse1:
      return "privateuseone";
  }
  return "";
}

std::string name(Device device) {
  return device.is_cpu() ? name(device.type)
                         : fmt::format("{}:{}", name(device.type), device.index);
}

const char* name(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kFp16:
      return "fp16";
    case Precision::kBf16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
  }
  return "";
}

std::optional<Precision> find_precision(std::string_view text) {
  const auto* const found =
      std::find_if(kPrecisions.begin(), kPrecisions.end(),
                   [&](Precision precision) { return text == name(precision); });
  return found == kPrecisions.end() ? std::nullopt : std::optional(*found);
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

std::vector<std::string> thread_waiting() {
  std::vector<std::string> all;
  for (const auto& [name, usual] : kThreadWaiting) {
    const char* const set = std::getenv(name);
    all.push_back(fmt::format("{}={}", name, set == nullptr ? usual : set));
  }
  return all;
}

void set_thread_waiting() {
  for (const auto& [name, usual] : kThreadWaiting) ::setenv(name, usual, /*overwrite=*/0);
}

std::string Compute::identity(int kernel_revision) const {
  std::string text = fmt::format("{} {}", name(device.type), name(precision));
  if (kernel_revision > 1) text += fmt::format(" kernels {}", kernel_revision);
  return text;
}

Compute Compute::in(Precision other) const {
  Compute compute = *this;
  compute.precision = other;
  return compute;
}

Device parse_device(std::string_view asked) {
  constexpr int kMost = 127;  // c10::Device keeps an index in 8 bits
  if (asked == name(DeviceType::kCpu)) return {};
  const std::string_view cuda = name(DeviceType::kCuda);
  if (asked == cuda) return {DeviceType::kCuda, 0};
  if (asked.starts_with(cuda) && asked.size() > cuda.size() && asked[cuda.size()] == ':') {
    int index = -1;
    const char* const end = asked.data() + asked.size();
    const auto read = std::from_chars(asked.data() + cuda.size() + 1, end, index);
    if (read.ec == std::errc() && read.ptr == end && index >= 0 && index <= kMost)
      return {DeviceType::kCuda, index};
  }
  throw Error("E_CONFIG", fmt::format("there is no device {}", escaped(asked, 40)),
              "use --device cpu, cuda, cuda:N (N from 0), or auto");
}

Precision parse_precision(std::string_view asked) {
  if (const std::optional<Precision> precision = find_precision(asked)) return *precision;
  throw Error("E_CONFIG", fmt::format("there is no precision {}", escaped(asked, 40)),
              "use --precision auto, fp32, fp16, bf16 or int8");
}

Precision parse_precision(std::string_view text, std::string_view what) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    if (text == name(precision)) return precision;
  }
  throw Error("E_CONFIG", fmt::format("{} is {}, expected fp32 or bf16", what, escaped(text, 40)));
}

void require_precision(const Compute& compute) {
  const char* const asked = name(compute.precision);
  if (!compute.device.is_cpu()) {
    if (compute.precision != Precision::kInt8) return;
    throw Error(
        "E_CONFIG",
        fmt::format("{} is of the encoder on a CPU; the device is {}", asked, name(compute.device)),
        "use --precision fp16");
  }
  if (cpu_has(compute.precision)) return;
  if (compute.precision == Precision::kFp16) {
    throw Error("E_CONFIG", "fp16 is for GPUs; this run computes on the CPU",
                "use --precision bf16 or fp32, or --device cuda");
  }
  throw Error("E_CONFIG",
              fmt::format("this CPU does not multiply {} numbers: it lacks {}", asked,
                          compute.precision == Precision::kBf16 ? "AVX512_BF16" : "AVX512_VNNI"),
              "use --precision fp32, or another machine");
}

int64_t usual_batch_tokens(Device device) { return device.is_cpu() ? 384 : 65536; }

bool cpu_has(Precision precision) {
  if (precision == Precision::kFp32) return true;
  if (precision == Precision::kFp16) return false;  // no kernel of ours multiplies it
#if defined(__x86_64__)
  return precision == Precision::kBf16 ? __builtin_cpu_supports("avx512bf16") != 0
                                       : __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

std::vector<Precision> usable_precisions(Device device) {
  std::vector<Precision> usable;
  std::ranges::copy_if(kPrecisions, std::back_inserter(usable), [&](Precision precision) {
    return device.is_cpu() ? cpu_has(precision) : precision != Precision::kInt8;
  });
  return usable;
}

bool bf16_is_faster() {
#if defined(__x86_64__)
  constexpr unsigned kAmxBf16 = 1U << 22U;  // of EDX, leaf 7
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool has_amx =
      __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAmxBf16) != 0;
  return cpu_has(Precision::kBf16) && (has_amx || __builtin_cpu_is("intel") == 0);
#else
  return false;
#endif
}

Precision resolve_training_precision(const std::optional<std::string>& stated) {
  if (!stated) return Precision::kFp32;
  if (*stated != "auto") return parse_precision(*stated, "[training] precision");
  if (const char* forced = std::getenv(kTrainingVariable); forced != nullptr && *forced != '\0')
    return parse_precision(forced, kTrainingVariable);
  return bf16_is_faster() ? Precision::kBf16 : Precision::kFp32;
}

}  // namespace moecollab
