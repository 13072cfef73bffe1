// The version of this program.
#pragma once

namespace moecollab {

inline constexpr const char* kVersion = "0.3.0";

}  // namespace moecollab
