#include "cluster/team.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>

namespace moecollab::cluster {
namespace {

using namespace std::chrono_literals;

// Larger gifts go in pieces, so that signs of life come through in between.
constexpr size_t kPiece = size_t{8} << 20;
constexpr auto kLastLetters = 500ms;  // that an ending rank waits for its letters to leave
constexpr const char* kSameCommand = "all ranks must run the same command on the same files";

// Signals are the business of the run's thread: that of the team and those of the MPI have none.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~NoSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Team::Team(std::function<std::unique_ptr<Link>()> open, TeamOptions options)
    : options_(std::move(options)) {
  const auto meeting = std::make_shared<Meeting>();
  {
    const NoSignals none;
    thread_ = std::thread([this, meeting, open] { work(open, *meeting); });
  }
  std::unique_lock lock(meeting->mutex);
  const auto last = Clock::now() + in_seconds(options_.timeout);
  const auto ended = [&] { return meeting->met || meeting->failure; };
  while (!meeting->changed.wait_for(lock, 50ms, ended)) {
    if (Clock::now() < last && !options_.stop.requested()) continue;
    meeting->abandoned = true;
    thread_.detach();
    options_.stop.throw_if_requested("the run was interrupted before all ranks had met");
    throw Error("E_DIST", fmt::format("the ranks did not meet within {:g} s", options_.timeout),
                "see that mpirun reaches every host, or give it longer with --dist-timeout");
  }
  lock.unlock();
  if (meeting->failure) {
    thread_.join();
    std::rethrow_exception(meeting->failure);
  }
  try {
    introduce();
    if (size_ > 1) find_connections();
  } catch (...) {
    quit();
    throw;
  }
}

Team::~Team() { quit(); }

void Team::quit() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    quitting_ = true;
  }
  awake_.notify_one();
  thread_.join();
}

void Team::introduce() {
  const std::vector<std::string> all = exchange("introduction", this_process().to_bytes());
  const std::lock_guard lock(mutex_);
  for (int r = 0; r < size_; ++r) {
    Peer& peer = peers_[static_cast<size_t>(r)];
    peer.process = Process::parse(all[static_cast<size_t>(r)]);
    if (r != rank_) peer.watch = ProcessWatch(peer.process);
  }
}

// By this step each rank has had letters of all others: the MPI has connected them.
void Team::find_connections() {
  const std::vector<Connection> own = connections();
  std::string list;
  for (const Connection& connection : own) list += "\n" + connection.own + "\n";
  const std::vector<std::string> all = exchange("connections", list);
  const std::lock_guard lock(mutex_);
  for (const Connection& connection : own) {
    for (int r = 0; r < size_; ++r) {
      const auto i = static_cast<size_t>(r);
      if (r != rank_ && all[i].find("\n" + connection.other + "\n") != std::string::npos)
        peers_[i].connections.push_back(connection);
    }
  }
}

std::string Team::describe(int rank) const {
  const Process& process = peers_.at(static_cast<size_t>(rank)).process;
  if (process.host.empty()) return fmt::format("rank {}", rank);
  return fmt::format("rank {} (host {}, process {})", rank, process.host, process.pid);
}

std::vector<std::string> Team::exchange(std::string_view what, std::string own) {
  std::unique_lock lock(mutex_);
  const uint64_t step = ++step_;
  for (int to = 0; to < size_; ++to) {
    if (to == rank_) continue;
    size_t offset = 0;
    do {
      Letter piece{.kind = Letter::Kind::kPart,
                   .step = step,
                   .offset = offset,
                   .total = own.size(),
                   .what = std::string(what)};
      piece.bytes = own.substr(offset, kPiece);
      post(to, piece);
      offset += kPiece;
    } while (offset < own.size());
  }
  wait(lock, [&] { return all_gave(step) || who_left(step); });
  if (const std::optional<int> left = who_left(step)) {
    lose(*left, Error("E_DIST",
                      fmt::format("{} has ended its work, rank {} is at \"{}\"", describe(*left),
                                  rank_, what),
                      kSameCommand));
    throw *loss_;
  }
  auto found = gifts_.extract(step);
  std::vector<std::string> all;
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) {
      all.push_back(std::move(own));
      continue;
    }
    Gift& gift = found.mapped()[static_cast<size_t>(r)];
    if (gift.what != what) {
      lose(r, Error("E_DIST",
                    fmt::format("{} is at \"{}\", rank {} at \"{}\"", describe(r), gift.what, rank_,
                                what),
                    kSameCommand));
      throw *loss_;
    }
    all.push_back(std::move(gift.bytes));
  }
  return all;
}

void Team::wait(std::unique_lock<std::mutex>& lock, const std::function<bool()>& done) {
  waiting_ = true;
  awake_.notify_one();
  while (!changed_.wait_for(lock, 100ms, [&] { return loss_ || done(); })) {
    if (options_.stop.requested()) break;
  }
  waiting_ = false;
  if (loss_) {
    ends_itself_ = true;
    throw *loss_;
  }
  if (!done())
    options_.stop.throw_if_requested("the run was interrupted while it waited for ranks");
}

bool Team::finish() {
  std::unique_lock lock(mutex_);
  post_to_all({.kind = Letter::Kind::kGoodbye}, rank_);
  wait(lock, [&] { return all_are_gone(); });
  closing_ = true;
  awake_.notify_one();
  // All is written: that the MPI hangs at its end is no error of the run.
  const bool closed = changed_.wait_for(lock, 10s, [&] { return closed_; });
  lock.unlock();
  closed ? thread_.join() : thread_.detach();
  return closed;
}

void Team::leave(const Error& error) {
  std::unique_lock lock(mutex_);
  ends_itself_ = true;
  if (!loss_) {
    post_to_all({.kind = Letter::Kind::kFarewell,
                 .culprit = rank_,
                 .code = error.code(),
                 .message = error.what(),
                 .hint = error.hint()},
                rank_);
  }
  awake_.notify_one();
  changed_.wait_for(lock, kLastLetters, [&] { return idle_ && outgoing_.empty(); });
}

std::optional<Error> Team::loss() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kLastLetters, [&] { return loss_.has_value(); });
  ends_itself_ = true;
  return loss_;
}

void Team::post(int to, const Letter& letter) {
  idle_ = false;
  outgoing_.emplace_back(to, to_bytes(letter));
}

void Team::post_to_all(const Letter& letter, int but) {
  for (int to = 0; to < size_; ++to) {
    if (to != rank_ && to != but && !peers_[static_cast<size_t>(to)].left) post(to, letter);
  }
}

// The others hear of it too: on a host of their own they may not see what this one saw.
void Team::lose(int culprit, const Error& error) {
  if (loss_) return;
  loss_ = error;
  lost_at_ = Clock::now();
  post_to_all({.kind = Letter::Kind::kFarewell,
               .culprit = culprit,
               .code = error.code(),
               .message = error.what(),
               .hint = error.hint()},
              culprit);
  if (options_.on_loss) options_.on_loss();
  changed_.notify_all();
  awake_.notify_one();
}

void Team::take(int from, Letter letter) {
  Peer& peer = peers_[static_cast<size_t>(from)];
  peer.heard = Clock::now();
  switch (letter.kind) {
    case Letter::Kind::kBeat:
      break;
    case Letter::Kind::kPart:
      take_part(from, std::move(letter));
      break;
    case Letter::Kind::kFarewell:
      peer.left = true;
      take_farewell(from, letter);
      break;
    case Letter::Kind::kGoodbye:
      peer.done = true;
      break;
  }
  changed_.notify_all();
}

void Team::take_part(int from, Letter letter) {
  // Who is a step ahead has what this rank gave for its own.
  const bool timely = letter.step == step_ || letter.step == step_ + 1;
  std::vector<Gift>* gifts = nullptr;
  if (timely) {
    gifts = &gifts_[letter.step];
    gifts->resize(static_cast<size_t>(size_));
  }
  Gift* gift = timely ? &(*gifts)[static_cast<size_t>(from)] : nullptr;
  const bool fits = timely && letter.offset == gift->bytes.size() &&
                    (!gift->begun || (gift->what == letter.what && gift->total == letter.total));
  if (!fits) {
    lose(from,
         Error("E_DIST",
               fmt::format("{} sent {} bytes at {} of step {} \"{}\", which do not follow what "
                           "it sent before; rank {} is at step {}",
                           describe(from), letter.bytes.size(), letter.offset, letter.step,
                           letter.what, rank_, step_),
               kNoOther));
    return;
  }
  gift->begun = true;
  gift->what = std::move(letter.what);
  gift->total = letter.total;
  gift->bytes += letter.bytes;
}

void Team::take_farewell(int from, const Letter& letter) {
  const bool own = letter.culprit == from;
  lose(letter.culprit,
       Error(letter.code,
             own ? fmt::format("{}: {}", describe(from), letter.message) : letter.message,
             letter.hint));
}

bool Team::all_gave(uint64_t step) const {
  const auto found = gifts_.find(step);
  if (found == gifts_.end()) return size_ == 1;
  for (int r = 0; r < size_; ++r) {
    if (r != rank_ && !found->second[static_cast<size_t>(r)].whole()) return false;
  }
  return true;
}

std::optional<int> Team::who_left(uint64_t step) const {
  const auto found = gifts_.find(step);
  for (int r = 0; r < size_; ++r) {
    const bool gave = found != gifts_.end() && found->second[static_cast<size_t>(r)].whole();
    if (r != rank_ && peers_[static_cast<size_t>(r)].is_gone() && !gave) return r;
  }
  return std::nullopt;
}

bool Team::all_are_gone() const {
  for (int r = 0; r < size_; ++r) {
    if (r != rank_ && !peers_[static_cast<size_t>(r)].is_gone()) return false;
  }
  return true;
}

}  // namespace moecollab::cluster
