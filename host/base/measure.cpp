#include "base/measure.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace moecollab {

int64_t peak_rss_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0, resident = 0;  // pages
  return statm >> all >> resident ? resident * ::sysconf(_SC_PAGESIZE) : 0;
}

}  // namespace moecollab
