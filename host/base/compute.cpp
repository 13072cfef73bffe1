#include "base/compute.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

constexpr const char* kTrainingVariable = "MOECOLLAB_TRAINING_PRECISION";

}  // namespace

const char* name(Precision precision) { return precision == Precision::kBf16 ? "bf16" : "fp32"; }

Precision parse_precision(std::string_view text, std::string_view what) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    if (text == name(precision)) return precision;
  }
  throw Error("E_CONFIG", fmt::format("{} is {}, expected fp32 or bf16", what, escaped(text, 40)));
}

bool cpu_has_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

Precision resolve_training_precision(std::string_view stated) {
  if (stated != "auto") return parse_precision(stated, "[training] precision");
  if (const char* forced = std::getenv(kTrainingVariable); forced != nullptr && *forced != '\0')
    return parse_precision(forced, kTrainingVariable);
  return cpu_has_bf16() ? Precision::kBf16 : Precision::kFp32;
}

}  // namespace moecollab
