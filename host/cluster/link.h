// How letters get from rank to rank. libmoecollab_mpi.so has one over MPI, a test one in memory.
#pragma once

#include <optional>
#include <string>

namespace moecollab::cluster {

struct Delivery {
  int from;
  std::string bytes;
};

// Used by the thread that made it, and by no other: an MPI need not allow more.
class Link {
 public:
  virtual ~Link() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Begins to send. A receiver gets the letters of one sender whole and in their order.
  virtual void send(int to, std::string bytes) = 0;
  // The next letter that has come, if one has. What is under way comes further only in here. Throws
  // E_DIST if the MPI fails.
  virtual std::optional<Delivery> receive() = 0;
  // Whether nothing is under way, as far as this rank knows.
  virtual bool is_idle() const = 0;
  // The end, if all ranks are still there; all must call it. It may block.
  virtual void close() = 0;
};

}  // namespace moecollab::cluster

// The entry of libmoecollab_mpi.so. Blocks until all ranks have called it; the link is the
// caller's.
extern "C" moecollab::cluster::Link* moecollab_open_mpi();
