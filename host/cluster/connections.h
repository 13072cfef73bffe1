// The TCP connections that this process has: an MPI's with ranks on other hosts. If a rank is
// killed, its kernel closes them at once, wherever it ran.
#pragma once

#include <string>
#include <vector>

namespace moecollab::cluster {

struct Connection {
  int descriptor = -1;
  std::string own, other;  // "10.0.0.1:1024": this end and the other
};

// Those that are established now.
std::vector<Connection> connections();
// Whether the other end has closed it, or this one.
bool has_ended(const Connection& connection);

}  // namespace moecollab::cluster
