#include "cluster/connections.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>

#include "base/files.h"

namespace moecollab::cluster {
namespace {

// "" if that end has none.
std::string address(int descriptor, int (*ask)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const plain = reinterpret_cast<sockaddr*>(&storage);
  if (ask(descriptor, plain, &size) != 0) return "";
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) return "";
  char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
  if (::getnameinfo(plain, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "";
  return fmt::format("{}:{}", host, port);
}

}  // namespace

std::vector<Connection> connections() {
  std::vector<Connection> found;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc/self/fd", none)) {
    const std::string name = entry.path().filename().string();
    Connection connection;
    std::from_chars(name.data(), name.data() + name.size(), connection.descriptor);
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(connection.descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) continue;
    connection.own = address(connection.descriptor, &::getsockname);
    connection.other = address(connection.descriptor, &::getpeername);
    if (type == SOCK_STREAM && !connection.other.empty()) found.push_back(std::move(connection));
  }
  return found;
}

bool has_ended(const Connection& connection) {
  char byte = 0;
  const ssize_t read = ::recv(connection.descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (read > 0) return false;
  if (read == 0) return true;
  // The MPI closes its own end when it sees that the other has ended.
  return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
}

}  // namespace moecollab::cluster
