#include "conformance/faked_clock.h"

#include <sys/time.h>

#include <atomic>
#include <ctime>

#include "conformance/redirected_imports.h"

namespace moecollab::conformance {
namespace {

std::atomic<int64_t> g_ahead = 0;

time_t later_time(time_t* out) {
  const time_t now = ::time(nullptr) + g_ahead;
  if (out != nullptr) *out = now;
  return now;
}
int later_clock_gettime(clockid_t clock, timespec* out) {
  const int result = ::clock_gettime(clock, out);
  if (result == 0) out->tv_sec += g_ahead;
  return result;
}
int later_gettimeofday(timeval* out, void* zone) {
  const int result = ::gettimeofday(out, static_cast<struct timezone*>(zone));
  if (result == 0 && out != nullptr) out->tv_sec += g_ahead;
  return result;
}
int later_timespec_get(timespec* out, int base) {
  const int result = ::timespec_get(out, base);
  if (result != 0) out->tv_sec += g_ahead;
  return result;
}

}  // namespace

FakedClock::FakedClock(const void* code) {
  redirect_imports(code, {{"time", address_of(later_time)},
                          {"clock_gettime", address_of(later_clock_gettime)},
                          {"gettimeofday", address_of(later_gettimeofday)},
                          {"timespec_get", address_of(later_timespec_get)}});
}

void FakedClock::set_ahead(int64_t seconds) { g_ahead = seconds; }

}  // namespace moecollab::conformance
