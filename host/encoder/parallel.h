// Work for all threads of LibTorch's pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace moecollab::encoder {

// Calls work(i) for each i in [0, n): every thread takes the next one as soon as it is free. What
// work() calls of LibTorch runs on its own thread alone. Throws what a call of work() threw, once
// all threads have ended.
void for_each_in_parallel(int64_t n, const std::function<void(int64_t)>& work);

// The same for chunks of [0, n), for work that is too small to be handed out one by one.
void for_each_chunk_in_parallel(size_t n,
                                const std::function<void(size_t first, size_t count)>& work);

class StepBarrier;

// One of several threads that go through the same steps together. By default the only one.
class TeamMember {
 public:
  TeamMember() = default;
  TeamMember(int64_t rank, int64_t members, StepBarrier* barrier)
      : rank_(rank), members_(members), barrier_(barrier) {}

  int64_t rank() const { return rank_; }  // 0: the thread that called in_team()
  // Its part [begin, end) of [0, n): neighbours, the members' parts in order.
  std::pair<int64_t, int64_t> part(int64_t n) const {
    return {n * rank_ / members_, n * (rank_ + 1) / members_};
  }
  // Returns once all members have come here, and what they wrote before can be read.
  void finish_step() const;

 private:
  int64_t rank_ = 0, members_ = 1;
  StepBarrier* barrier_ = nullptr;
};

// Calls work(member) on `members` threads at once, or on as many as the pool gives. Steps are taken
// to be short: a member that waits spins for a while before it sleeps. Throws what a member threw;
// the others then end at their next step.
void in_team(int64_t members, const std::function<void(const TeamMember&)>& work);

// Calls work(i, threads) for each i in [0, n): side by side with a thread each, or one after the
// other with all threads if there are fewer calls than threads.
void for_each_batch(int64_t n, const std::function<void(int64_t i, int64_t threads)>& work);

}  // namespace moecollab::encoder
