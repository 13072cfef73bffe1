#include "base/clock.h"

#include <array>
#include <ctime>

namespace moecollab {

std::string utc_now(const char* format) {
  const std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), format, &utc);
  return text.data();
}

}  // namespace moecollab
