// Where gradients go if experts of different widths are fused.
#pragma once

#include <cstdint>

#include "base/json.h"
#include "fusion/mode.h"

namespace moecollab::fusion {

// An expert of `narrow` classes beside one of `wide`, more, under equal shares, logits drawn from
// N(0, 1) by the seed, 512 texts of which half are of each: norms of the task loss's gradient in
// the columns of the narrow expert. Under `paper` and `masked` its answer is padded to the width of
// the other; `padded` is the norm over the columns that it does not have, `padded_share` their
// share of the squared norm, and `answered_padding` the share of its texts whose fused answer is
// one of them. Under the others it has no such columns: 0 (of the answers: null, as they name a
// label of their own space). `foreign_share`: what of the squared norm in its own columns comes
// from the other expert's texts.
Json padding_gradients(Mode mode, int narrow, int wide, uint64_t seed);

}  // namespace moecollab::fusion
