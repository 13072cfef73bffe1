#include "cluster/process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/files.h"

namespace moecollab::cluster {

Process Process::parse(const std::string& bytes) {
  try {
    const Json json = parse_json(bytes);
    return {json.at("host").get<std::string>(), json.at("pid").get<int64_t>(),
            json.at("machine").get<std::string>()};
  } catch (const std::invalid_argument& error) {
    throw Error("E_DIST",
                std::string("a rank introduced itself with what is no JSON: ") + error.what());
  } catch (const Json::exception& error) {
    throw Error("E_DIST", std::string("a rank introduced itself incompletely: ") + error.what());
  }
}

std::string Process::to_bytes() const {
  return to_line({{"host", host}, {"pid", pid}, {"machine", machine}});
}

Process this_process() {
  char host[HOST_NAME_MAX + 1] = "";
  ::gethostname(host, sizeof host - 1);
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  std::error_code none;
  // Containers of one machine have hosts and numbers of their own.
  const std::string numbers = fs::read_symlink("/proc/self/ns/pid", none).string();
  return {host, ::getpid(), boot + " " + numbers + " " + host};
}

ProcessWatch::ProcessWatch(const Process& process) {
  if (process.machine != this_process().machine) return;
  descriptor_ =
      static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid), /*flags=*/0));
}

ProcessWatch::~ProcessWatch() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

ProcessWatch::ProcessWatch(ProcessWatch&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

ProcessWatch& ProcessWatch::operator=(ProcessWatch&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

bool ProcessWatch::has_ended() const {
  pollfd ended{descriptor_, POLLIN, 0};
  return descriptor_ >= 0 && ::poll(&ended, 1, /*timeout=*/0) == 1;
}

}  // namespace moecollab::cluster
