// The parts of a long run that do not depend on each other, dealt out to the ranks of the run.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "base/json.h"
#include "base/ranks.h"

namespace moecollab {

struct SharedParts {
  // Takes a part and the line that it came to.
  using Take = std::function<void(size_t part, Json line)>;

  std::string unit;    // what one part is called: a regular noun in the singular ("point")
  size_t count = 0;    // parts are 0 to count − 1, which mean the same on all ranks
  size_t at_once = 1;  // parts that this rank computes side by side; ranks may differ in it
  // Asked on the first rank alone: the others need not see its files.
  std::function<bool(size_t part)> is_finished;
  // Called once on every rank with all parts that are missing, before any is computed, if there
  // are any. What ranks can only do together is done here.
  std::function<void(std::span<const size_t> missing)> prepare = [](auto) {};
  // Computes these, without a step that ranks take together, and hands over each as it ends, one
  // call at a time.
  std::function<void(std::span<const size_t> parts, const Take& done)> compute;
  // Called on the first rank alone, once for each part that was missing.
  Take keep;
};

// Computes the parts that the first rank lacks. It keeps its own as each ends, and those of others
// after each round, in which every rank computes as many as it does at once: a run that is killed
// loses a round of the others at most. Without ranks all are one round. What a part throws ends all
// ranks (Ranks::exchange()); E_INTERRUPTED then says what is kept. Throws E_DIST if ranks differ
// in the number of parts.
void finish_parts(const SharedParts& parts, Ranks* ranks);

}  // namespace moecollab
