// Ranks over a link: steps that all take together, and who of the others still lives.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/ranks.h"
#include "base/run_context.h"
#include "cluster/connections.h"
#include "cluster/letter.h"
#include "cluster/link.h"
#include "cluster/process.h"

namespace moecollab::cluster {

struct TeamOptions {
  double timeout = 30;  // seconds without a sign of life after which a rank counts as dead
  double grace = 0.5;   // seconds that the run has to stop by itself after a rank was lost
  StopToken stop;       // of this rank
  // A rank was lost: asks the run to stop. Called from the team's thread.
  std::function<void()> on_loss;
  // The run did not stop in time: says the error and ends the process.
  std::function<void(const Error&)> end;
};

// A thread of its own has the link: while the run computes, it takes letters, gives a sign of life
// every second, and hears of the others. So a rank may compute as long as it likes. One that is
// killed is lost at once, since its process has ended, or on another host its connections; one that
// is stopped or cut off after the time-out.
// Only a rank whose thread lives while its work hangs is not found out.
class Team final : public Ranks {
 public:
  // Waits until all ranks are there; `open` is called on the team's thread. Throws E_DIST if they
  // do not meet within the time-out, and what `open` throws.
  Team(std::function<std::unique_ptr<Link>()> open, TeamOptions options);
  // Ends without a word, unless finish() was called: as if this rank had died.
  ~Team() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::vector<std::string> exchange(std::string_view what, std::string own) override;

  // The end of a run that succeeded: waits until all ranks have called it, and closes the link.
  // False if the link does not close in 10 s: its thread then still uses the team, so that the
  // process is to end at once. Throws as exchange().
  bool finish();
  // The end of one that failed: the other ranks end with this error, too. Waits until that is sent,
  // half a second at most. Nothing may be called after it.
  void leave(const Error& error);
  // Why the run is to stop, if that is because a rank was lost; a loss that shows only within the
  // next half second counts. The run then ends by itself.
  std::optional<Error> loss();

  // "rank 1 (host alpha, process 77)".
  std::string describe(int rank) const;

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr const char* kNoOther = "the other ranks end too; start the run again";
  static std::chrono::nanoseconds in_seconds(double seconds) {
    return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
  }
  struct Gift {  // what a rank gives for a step
    std::string what, bytes;
    uint64_t total = 0;
    bool begun = false;
    bool whole() const { return begun && bytes.size() == total; }
  };
  struct Peer {
    Process process;
    ProcessWatch watch;
    std::vector<Connection> connections;
    Clock::time_point heard;
    std::optional<Clock::time_point> ended;  // when its process was first seen gone
    bool done = false;                       // it has said goodbye: it waits for the others
    bool left = false;                       // it has said farewell: it ends
    bool is_gone() const { return done || left; }
  };

  // Where the run waits for the link to be open. Outlives a team that did not wait any longer.
  struct Meeting {
    std::mutex mutex;
    std::condition_variable changed;
    bool met = false, abandoned = false;
    std::exception_ptr failure;
  };

  void quit();
  void introduce();
  void find_connections();
  // The following have the mutex.
  void post(int to, const Letter& letter);
  void post_to_all(const Letter& letter, int but);
  void lose(int culprit, const Error& error);
  void take(int from, Letter letter);
  void take_part(int from, Letter letter);
  void take_farewell(int from, const Letter& letter);
  bool all_gave(uint64_t step) const;
  // A rank that has ended without giving anything for the step.
  std::optional<int> who_left(uint64_t step) const;
  bool all_are_gone() const;
  void watch_connections();
  void watch_peers(Clock::time_point now);
  void beat(Clock::time_point now);
  // Waits, as long as nothing is lost, until `done`; throws the loss, or E_INTERRUPTED.
  void wait(std::unique_lock<std::mutex>& lock, const std::function<bool()>& done);

  // The team's thread.
  void work(const std::function<std::unique_ptr<Link>()>& open, Meeting& meeting);
  void serve(Link& link);
  void send_all(Link& link, std::unique_lock<std::mutex>& lock);
  bool receive_all(Link& link);

  TeamOptions options_;
  int rank_ = 0, size_ = 1;
  uint64_t step_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // for the run
  std::condition_variable awake_;    // for the team's thread
  bool waiting_ = false;             // the run is at a step
  bool idle_ = true;                 // nothing is under way
  bool closing_ = false;             // after the last letter the link is to be closed
  bool quitting_ = false;            // it is to be left as it is
  bool closed_ = false;
  bool deaf_ = false;         // the link is not to be used any more
  bool ends_itself_ = false;  // the run knows of the loss
  std::optional<Error> loss_;
  Clock::time_point lost_at_, looked_at_, beaten_at_;
  std::vector<Peer> peers_;  // per rank; this one's is unused
  std::map<uint64_t, std::vector<Gift>> gifts_;
  std::deque<std::pair<int, std::string>> outgoing_;
  std::thread thread_;
};

}  // namespace moecollab::cluster
