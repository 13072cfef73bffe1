// Whether a test tries only some of many like cases.
#pragma once

#include <cstdlib>

namespace moecollab {

// Under ASan and UBSan, where each takes ten times as long and the ordinary build tries all;
// MOECOLLAB_SOAK tries all there too.
inline bool in_brief() {
#if defined(MOECOLLAB_UNDER_ASAN)
  return std::getenv("MOECOLLAB_SOAK") == nullptr;
#else
  return false;
#endif
}

}  // namespace moecollab
