// How encoder, experts and gate are put together for an evaluation; torch-free.
#pragma once

namespace moecollab::evaluation {

// kShared: one encoder pass per text serves the gate and every expert that is asked. kSeparate: the
// paper's, a pass for each expert that reads the encoder and one for the gate, and every expert
// answers every text. The answers are the same.
enum class Arrangement { kShared, kSeparate };

inline const char* name(Arrangement arrangement) {
  return arrangement == Arrangement::kShared ? "shared" : "separate";
}

}  // namespace moecollab::evaluation
