// What a fitted gate does with the texts that it was fitted on: what later texts are compared with.
#pragma once

#include <span>
#include <string>

#include "evaluation/profile.h"
#include "training/answered_texts.h"
#include "training/growth.h"

namespace moecollab::training {

// By label space, of the texts whose answers by all experts are known. `names` [E] of the experts.
evaluation::Profiles held_out_profiles(const GrownGate& gate, std::span<const std::string> names,
                                       const fusion::LabelUnion& labels, fusion::Mode fusion,
                                       int64_t top_k, const AnsweredTexts& texts);

}  // namespace moecollab::training
