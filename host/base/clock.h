// The time of day.
#pragma once

#include <string>

namespace moecollab {

// Now in UTC, as strftime() formats it; at most 31 characters.
std::string utc_now(const char* format);

}  // namespace moecollab
