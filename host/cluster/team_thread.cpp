// The thread of a team.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/team.h"

namespace moecollab::cluster {
namespace {

using namespace std::chrono_literals;

// How often the thread looks for letters: at a step others wait for them, else the run has the
// core.
constexpr std::chrono::microseconds kEager = 50us, kCalm = 5ms, kEagerFor = 50ms;
// What a process said before it ended may come after its end shows.
constexpr auto kLateWords = 100ms;
// How long the others get letters after a loss.
constexpr auto kLastWords = 200ms;

}  // namespace

void Team::work(const std::function<std::unique_ptr<Link>()>& open, Meeting& meeting) {
  std::unique_ptr<Link> link;
  try {
    link = open();
  } catch (...) {
    const std::lock_guard lock(meeting.mutex);
    meeting.failure = std::current_exception();
    meeting.changed.notify_all();
    return;
  }
  {
    const std::lock_guard lock(meeting.mutex);
    if (meeting.abandoned) return static_cast<void>(link.release());
    rank_ = link->rank();
    size_ = link->size();
    peers_.resize(static_cast<size_t>(size_));
    looked_at_ = beaten_at_ = Clock::now();
    for (Peer& peer : peers_) peer.heard = looked_at_;
    meeting.met = true;
    meeting.changed.notify_all();
  }
  serve(*link);
}

void Team::serve(Link& link) {
  auto active = Clock::now();
  while (true) {
    watch_connections();
    const bool busy = !deaf_ && receive_all(link);
    std::unique_lock lock(mutex_);
    const auto now = Clock::now();
    watch_peers(now);
    beat(now);
    if (deaf_) outgoing_.clear();
    if (busy || !outgoing_.empty()) active = now;
    send_all(link, lock);
    idle_ = deaf_ || (outgoing_.empty() && link.is_idle());
    if (loss_ && now - lost_at_ > kLastWords) deaf_ = true;
    if (idle_) changed_.notify_all();
    if (quitting_ || (closing_ && idle_)) break;
    if (loss_ && !ends_itself_ && now - lost_at_ > in_seconds(options_.grace)) {
      const Error error = *loss_;
      lock.unlock();
      if (options_.end) options_.end(error);
      lock.lock();
      ends_itself_ = true;
    }
    // Who waits long, for a rank that computes, must not take its time.
    const bool eager = !idle_ || (waiting_ && now - active < kEagerFor);
    if (!busy) awake_.wait_for(lock, eager ? kEager : kCalm);
  }
  if (quitting_) return;
  link.close();
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void Team::send_all(Link& link, std::unique_lock<std::mutex>& lock) {
  auto posted = std::exchange(outgoing_, {});
  if (posted.empty()) return;
  lock.unlock();
  std::optional<Error> failure;
  try {
    for (auto& [to, bytes] : posted) link.send(to, std::move(bytes));
  } catch (const Error& error) {
    failure = error;
  } catch (const std::exception& error) {  // no memory
    failure = Error("E_INTERNAL", error.what());
  }
  lock.lock();
  if (failure) lose(rank_, *failure);
}

bool Team::receive_all(Link& link) {
  bool any = false;
  try {
    while (const std::optional<Delivery> delivery = link.receive()) {
      any = true;
      const std::lock_guard lock(mutex_);
      try {
        take(delivery->from, parse_letter(delivery->bytes));
      } catch (const Error& error) {
        lose(delivery->from,
             Error(error.code(), fmt::format("{} sent {}", describe(delivery->from), error.what()),
                   error.hint()));
      }
    }
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    lose(rank_, error);
  } catch (const std::exception& error) {  // no memory
    const std::lock_guard lock(mutex_);
    lose(rank_, Error("E_INTERNAL", error.what()));
  }
  return any;
}

// Before the MPI looks: Open MPI 4.1 ends the process if it cannot connect to a rank again
// (findings/openmpi_ends_survivors.sh). The others see their own connections end.
void Team::watch_connections() {
  const std::lock_guard lock(mutex_);
  for (int r = 0; r < size_ && !loss_ && !closing_; ++r) {
    const Peer& peer = peers_[static_cast<size_t>(r)];
    if (r == rank_ || peer.left || !std::ranges::any_of(peer.connections, has_ended)) continue;
    deaf_ = true;
    lose(r, Error("E_DIST", fmt::format("{} has ended without a word", describe(r)), kNoOther));
  }
}

void Team::watch_peers(Clock::time_point now) {
  // Who was stopped itself (a suspended machine, a debugger) has heard of nobody meanwhile.
  const auto gap = now - looked_at_;
  looked_at_ = now;
  for (int r = 0; r < size_ && !loss_; ++r) {
    Peer& peer = peers_[static_cast<size_t>(r)];
    if (r == rank_ || peer.left || closing_) continue;
    if (gap > 2s) peer.heard += gap;
    if (!peer.ended && peer.watch.has_ended()) peer.ended = now;
    if (peer.ended && now - *peer.ended > kLateWords) {
      lose(r, Error("E_DIST", fmt::format("{} has ended without a word", describe(r)), kNoOther));
    } else if (now - peer.heard > in_seconds(options_.timeout)) {
      lose(r,
           Error("E_DIST",
                 fmt::format("{} has not been heard of for {:g} s", describe(r), options_.timeout),
                 "it hangs, or the network to its host is cut; --dist-timeout says how long a "
                 "rank may be silent"));
    }
  }
}

void Team::beat(Clock::time_point now) {
  if (now - beaten_at_ < std::min<std::chrono::nanoseconds>(1s, in_seconds(options_.timeout / 4)))
    return;
  beaten_at_ = now;
  post_to_all({.kind = Letter::Kind::kBeat}, rank_);
}

}  // namespace moecollab::cluster
