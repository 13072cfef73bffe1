#include "evaluation/section.h"

#include <algorithm>

namespace moecollab::evaluation {

std::vector<const Part*> in_order(const Sections& sections,
                                  std::optional<int> Placement::*document) {
  std::vector<const Part*> parts;
  for (const Section& section : sections) {
    for (const Part& part : section.parts) {
      if (part.place.*document) parts.push_back(&part);
    }
  }
  std::sort(parts.begin(), parts.end(),
            [&](const Part* a, const Part* b) { return a->place.*document < b->place.*document; });
  return parts;
}

}  // namespace moecollab::evaluation
