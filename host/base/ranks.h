// The ranks of a run on many machines, as those see them that compute.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moecollab {

// One of `size` processes that run the same verb on the same data. All take the same steps in the
// same order, so that what one of them lacks another has computed. Used by one thread.
class Ranks {
 public:
  virtual ~Ranks() = default;

  virtual int rank() const = 0;  // from 0 on
  virtual int size() const = 0;
  // Whether this is the one that writes files and prints.
  bool leads() const { return rank() == 0; }

  // A step that all ranks take together: hands `own` to all of them, and returns what each gave, by
  // rank. Blocks until all are here, however long they compute. Throws E_DIST naming the rank if
  // one ends, is not heard of, or is at another step than `what`; what a rank that failed threw,
  // naming it; E_INTERRUPTED if this one is to stop.
  virtual std::vector<std::string> exchange(std::string_view what, std::string own) = 0;
};

// Whether somebody else may take a share of the work.
inline bool are_several(const Ranks* ranks) { return ranks != nullptr && ranks->size() > 1; }
// Whether this process writes files and prints: alone, or the first of several.
inline bool leads(const Ranks* ranks) { return ranks == nullptr || ranks->leads(); }

}  // namespace moecollab
