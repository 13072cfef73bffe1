// A manifest's inputs as the ABI's bits.
#pragma once

#include <moecollab/abi.h>

#include "registry/manifest.h"

namespace moecollab::experts {

// [input] needs as the bits of `inputs`.
inline uint32_t input_bits(const registry::InputTable& input) {
  uint32_t bits = 0;
  for (const std::string& need : input.needs) {
    if (need == "text") bits |= MOEC_INPUT_TEXT;
    if (need == "tokens") bits |= MOEC_INPUT_TOKENS;
    if (need == "hidden") bits |= MOEC_INPUT_HIDDEN;
    if (need == "pooled") bits |= MOEC_INPUT_POOLED;
  }
  return bits;
}

}  // namespace moecollab::experts
