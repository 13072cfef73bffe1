#include "base/compute.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

constexpr const char* kTrainingVariable = "MOECOLLAB_TRAINING_PRECISION";

}  // namespace

const char* name(Device device) {
  switch (device) {
    case Device::kCpu:
      return "cpu";
  }
  return "";
}

const char* name(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
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

std::string Compute::identity(int kernel_revision) const {
  std::string text = fmt::format("{} {}", name(device), name(precision));
  if (kernel_revision > 1) text += fmt::format(" kernels {}", kernel_revision);
  return text;
}

Compute Compute::in(Precision other) const {
  Compute compute = *this;
  compute.precision = other;
  return compute;
}

Device resolve_device(std::string_view asked) {
  if (asked == "auto" || asked == name(Device::kCpu)) return Device::kCpu;
  throw Error("E_CONFIG",
              fmt::format("device {} is not in this version, which computes on the CPU only",
                          escaped(asked, 40)),
              "use --device cpu");
}

Precision resolve_precision(std::string_view asked) {
  if (const std::optional<Precision> precision = find_precision(asked)) {
    if (cpu_has(*precision)) return *precision;
    throw Error("E_CONFIG",
                fmt::format("this CPU does not multiply {} numbers: it lacks {}", asked,
                            *precision == Precision::kBf16 ? "AVX512_BF16" : "AVX512_VNNI"),
                "use --precision fp32, or another machine");
  }
  throw Error("E_CONFIG", fmt::format("precision {} is not in this version", escaped(asked, 40)),
              "use --precision auto, fp32, bf16 or int8");
}

Precision parse_precision(std::string_view text, std::string_view what) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    if (text == name(precision)) return precision;
  }
  throw Error("E_CONFIG", fmt::format("{} is {}, expected fp32 or bf16", what, escaped(text, 40)));
}

bool cpu_has(Precision precision) {
  if (precision == Precision::kFp32) return true;
#if defined(__x86_64__)
  return precision == Precision::kBf16 ? __builtin_cpu_supports("avx512bf16") != 0
                                       : __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

std::vector<Precision> usable_precisions() {
  std::vector<Precision> usable;
  std::copy_if(kPrecisions.begin(), kPrecisions.end(), std::back_inserter(usable), cpu_has);
  return usable;
}

Precision resolve_training_precision(const std::optional<std::string>& stated) {
  if (!stated) return Precision::kFp32;
  if (*stated != "auto") return parse_precision(*stated, "[training] precision");
  if (const char* forced = std::getenv(kTrainingVariable); forced != nullptr && *forced != '\0')
    return parse_precision(forced, kTrainingVariable);
  return cpu_has(Precision::kBf16) ? Precision::kBf16 : Precision::kFp32;
}

}  // namespace moecollab
