#include <sys/socket.h>

#include <cerrno>

#include "worker/service.h"

namespace moecollab::worker {

bool HostLine::send(const Reply& reply) {
  const std::lock_guard lock(sending_);
  ssize_t sent = 0;
  do sent = ::send(socket_, &reply, sizeof reply, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == sizeof reply;
}

std::optional<Call> HostLine::receive() {
  Call call;
  ssize_t got = 0;
  do got = ::recv(socket_, &call, sizeof call, 0);
  while (got < 0 && errno == EINTR);
  return got == sizeof call ? std::optional(call) : std::nullopt;
}

}  // namespace moecollab::worker
