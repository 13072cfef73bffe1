// The one file that knows MPI: libmoecollab_mpi.so.
#define OMPI_SKIP_MPICXX  // the bindings for C++, which are not used
#include <mpi.h>

#include <csignal>
#include <deque>
#include <list>
#include <map>
#include <vector>

#include "base/error.h"
#include "cluster/link.h"

namespace moecollab::cluster {
namespace {

constexpr int kTag = 1;

void check(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(status, text, &length);
  throw Error("E_DIST", std::string(call) + ": " + std::string(text, static_cast<size_t>(length)),
              "the message of mpirun may say more");
}

// Open MPI takes the signals of crashes for itself; the program has handlers that name the expert.
class KeptSignals {
 public:
  KeptSignals() {
    for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, nullptr, &kept_[signal]);
  }
  ~KeptSignals() {
    for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &kept_[signal], nullptr);
  }
  KeptSignals(const KeptSignals&) = delete;
  KeptSignals& operator=(const KeptSignals&) = delete;

 private:
  struct sigaction kept_[NSIG] = {};
};

class MpiLink final : public Link {
 public:
  MpiLink() {
    const KeptSignals kept;
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    if (provided < MPI_THREAD_FUNNELED)
      throw Error("E_DIST", "this MPI allows no threads", "use Open MPI 4.1 of Debian");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(MPI_Comm_dup(MPI_COMM_WORLD, &all_), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(all_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(all_, &rank_);
    MPI_Comm_size(all_, &size_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void send(int to, std::string bytes) override {
    Transfer& sent = sent_.emplace_back(std::move(bytes));
    check(MPI_Isend(sent.bytes.data(), static_cast<int>(sent.bytes.size()), MPI_BYTE, to, kTag,
                    all_, &sent.request),
          "MPI_Isend");
  }

  std::optional<Delivery> receive() override {
    std::erase_if(sent_, [](Transfer& transfer) { return is_done(transfer); });
    accept();
    for (auto& [from, transfers] : coming_) {
      if (transfers.empty() || !is_done(transfers.front())) continue;
      Delivery delivery{from, std::move(transfers.front().bytes)};
      transfers.pop_front();
      return delivery;
    }
    return std::nullopt;
  }

  bool is_idle() const override {
    for (const auto& [from, transfers] : coming_)
      if (!transfers.empty()) return false;
    return sent_.empty();
  }

  void close() override { MPI_Finalize(); }

 private:
  // The bytes stay where they are while MPI writes or reads them.
  struct Transfer {
    explicit Transfer(std::string all) : bytes(std::move(all)) {}
    std::string bytes;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  static bool is_done(Transfer& transfer) {
    int done = 0;
    check(MPI_Test(&transfer.request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    return done != 0;
  }

  // Makes room for one more letter of whoever has sent one.
  void accept() {
    int found = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    check(MPI_Improbe(MPI_ANY_SOURCE, kTag, all_, &found, &message, &status), "MPI_Improbe");
    if (found == 0) return;
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    Transfer& coming =
        coming_[status.MPI_SOURCE].emplace_back(std::string(static_cast<size_t>(size), '\0'));
    check(MPI_Imrecv(coming.bytes.data(), size, MPI_BYTE, &message, &coming.request), "MPI_Imrecv");
  }

  MPI_Comm all_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  std::list<Transfer> sent_;
  std::map<int, std::list<Transfer>> coming_;  // per sender, in order
};

}  // namespace
}  // namespace moecollab::cluster

extern "C" moecollab::cluster::Link* moecollab_open_mpi() {
  return new moecollab::cluster::MpiLink;
}
