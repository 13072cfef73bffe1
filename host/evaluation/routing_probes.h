// Whether a gate routes a text alike whatever it is encoded with, and texts that hardly differ.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "evaluation/figures.h"
#include "pipeline/collaboration.h"

namespace moecollab::evaluation {

// The gate's shares [n, E] of n texts that are encoded together, nothing of it cached.
using Router = std::function<at::Tensor(std::span<const std::string_view> texts)>;

// Tries the texts together and each alone, and then each with a full stop more or less, and with
// two letters of its longest word exchanged. space_of_expert [E].
RoutingProbes probe_routing(const std::vector<std::string>& texts,
                            const std::vector<int>& space_of_expert, const Router& router);

// The same for up to 32 texts of each domain, evenly spaced in its file, by an encoder of its own
// that keeps nothing.
RoutingProbes probe_routing(pipeline::Collaboration& collaboration,
                            const std::vector<data::Dataset>& datasets);

// Those two near duplicates of a text; the second is the text itself if it has no word of four
// letters.
std::vector<std::string> near_duplicates(const std::string& text);

}  // namespace moecollab::evaluation
