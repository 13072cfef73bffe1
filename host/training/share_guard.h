// The guard of a label space: together, its experts are not to lose texts to the best of them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "training/opinions.h"

namespace moecollab::training {

// What a guard found for the best expert of a space, going by its accuracy on the texts.
struct ShareGuard {
  int64_t expert = 0;  // 0 to k − 1, or its row of the gate
  int64_t texts = 0;
  double best = 0;               // its accuracy
  double before = 0, after = 0;  // of all experts together, without and with the pull
  double pull = 0;               // nats that b of the expert was raised by

  bool operator==(const ShareGuard&) const = default;
};

// A sentence for the log; `expert` is its name.
std::string description(const ShareGuard& guard, const std::string& expert);

// 1 for each text that the k experts answer right together if b of `expert` (0 to k − 1) is raised
// by `pull` nats, else 0; [n] float64, by shares that were fitted without the text.
using RightTogether = std::function<at::Tensor(int64_t expert, double pull)>;

// Raises b of the best honest expert by 0.25, 0.5, … `most` nats until the experts together lose no
// texts to it: until their accuracy is at most 0.25 points below the expert's, or not surely below,
// which is by one standard error of the paired difference. nullopt: nothing is lost, or no expert
// is honest. One text at least.
std::optional<ShareGuard> guard_space(const Opinions& opinions, const RightTogether& right,
                                      double most);

}  // namespace moecollab::training
