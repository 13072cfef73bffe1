// A link in memory: ranks are threads of one process, whose letters a test may cut off or damage.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "cluster/link.h"

namespace moecollab::cluster {

class MemoryNetwork {
 public:
  explicit MemoryNetwork(int size) : boxes_(static_cast<size_t>(size)) {}

  int size() const { return static_cast<int>(boxes_.size()); }
  // From now on nothing of this rank arrives, nor does it get anything.
  void cut_off(int rank) {
    const std::lock_guard lock(mutex_);
    cut_.insert(rank);
  }
  // What becomes of each letter that this rank sends from now on.
  void change(int rank, std::function<std::string(std::string)> change) {
    const std::lock_guard lock(mutex_);
    changes_[rank] = std::move(change);
  }
  void send(int from, int to, std::string bytes) {
    const std::lock_guard lock(mutex_);
    if (cut_.contains(from) || cut_.contains(to)) return;
    if (const auto found = changes_.find(from); found != changes_.end())
      bytes = found->second(std::move(bytes));
    boxes_[static_cast<size_t>(to)].push_back({from, std::move(bytes)});
  }
  std::optional<Delivery> receive(int rank) {
    const std::lock_guard lock(mutex_);
    std::deque<Delivery>& box = boxes_[static_cast<size_t>(rank)];
    if (box.empty()) return std::nullopt;
    Delivery delivery = std::move(box.front());
    box.pop_front();
    return delivery;
  }
  std::unique_ptr<Link> link(int rank);

 private:
  std::mutex mutex_;
  std::vector<std::deque<Delivery>> boxes_;
  std::set<int> cut_;
  std::map<int, std::function<std::string(std::string)>> changes_;
};

class MemoryLink final : public Link {
 public:
  MemoryLink(MemoryNetwork& network, int rank) : network_(network), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return network_.size(); }
  void send(int to, std::string bytes) override { network_.send(rank_, to, std::move(bytes)); }
  std::optional<Delivery> receive() override { return network_.receive(rank_); }
  bool is_idle() const override { return true; }
  void close() override {}

 private:
  MemoryNetwork& network_;
  int rank_;
};

inline std::unique_ptr<Link> MemoryNetwork::link(int rank) {
  return std::make_unique<MemoryLink>(*this, rank);
}

}  // namespace moecollab::cluster
