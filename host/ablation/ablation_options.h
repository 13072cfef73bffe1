// Which ablations there are; torch-free.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::ablation {

// fusion: the four fusions, under the same gate and under one refitted for each. gate: none,
// perfect routing to the best experts, and each kind of gate. features: what the gate reads. top-k:
// 1 to all. single: each expert alone on its own domain. experts: without each expert. padding:
// gradients of a 2-class beside a 50-class expert. lambda: gates fitted with other weights of
// equation 3. upgrades: with the newest installed version of each expert that has one.
inline constexpr std::array<std::string_view, 9> kGroups = {
    "fusion", "gate", "features", "top-k", "single", "experts", "padding", "lambda", "upgrades"};

// Those of `words`, in the order above; all if it is empty. Throws E_CONFIG for another word.
std::vector<std::string> chosen_groups(const std::vector<std::string>& words);

}  // namespace moecollab::ablation
