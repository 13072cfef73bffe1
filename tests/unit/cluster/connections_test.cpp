#include "cluster/connections.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace moecollab::cluster {
namespace {

TEST(Connections, AreFoundByBothEndsAndEndWhenOneIsClosed) {
  const int door = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(door, plain, size), 0);
  ASSERT_EQ(::listen(door, 1), 0);
  ASSERT_EQ(::getsockname(door, plain, &size), 0);
  const int here = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(here, plain, size), 0);
  const int there = ::accept(door, nullptr, nullptr);
  ASSERT_GE(there, 0);

  const std::vector<Connection> all = connections();
  const auto find = [&](int descriptor) {
    return std::ranges::find(all, descriptor, &Connection::descriptor);
  };
  ASSERT_NE(find(here), all.end());
  ASSERT_NE(find(there), all.end());
  EXPECT_EQ(find(door), all.end());  // connected to nobody
  EXPECT_EQ(find(here)->own, find(there)->other);
  EXPECT_EQ(find(here)->other, find(there)->own);
  EXPECT_TRUE(find(here)->own.starts_with("127.0.0.1:"));

  EXPECT_FALSE(has_ended(*find(here)));
  ASSERT_EQ(::write(there, "x", 1), 1);
  EXPECT_FALSE(has_ended(*find(here)));  // what was sent is still to be read
  char byte = 0;
  ASSERT_EQ(::read(here, &byte, 1), 1);
  ::close(there);
  EXPECT_TRUE(has_ended(*find(here)));
  EXPECT_TRUE(has_ended(*find(there)));  // this end is closed
  ::close(here);
  ::close(door);
}

}  // namespace
}  // namespace moecollab::cluster
