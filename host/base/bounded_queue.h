// What one thread hands to another, in order and not without bound.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace moecollab {

// Thread-safe.
template <typename T>
class BoundedQueue {
 public:
  // In the unit of the sizes that push() states.
  explicit BoundedQueue(int64_t capacity) : capacity_(capacity) {}

  // Waits while the item would not fit; one larger than the capacity fits into an empty queue.
  // False if the queue is closed, which drops the item.
  bool push(T item, int64_t size) {
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [&] { return closed_ || items_.empty() || held_ + size <= capacity_; });
      if (closed_) return false;
      held_ += size;
      items_.emplace_back(std::move(item), size);
    }
    arrived_.notify_one();
    return true;
  }

  // Waits for an item; none once the queue is closed and everything was taken.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return take(lock);
  }

  // The same without waiting.
  std::optional<T> try_pop() {
    std::unique_lock lock(mutex_);
    return take(lock);
  }

  // Takes no more items, and ends every wait. May be called again.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    room_.notify_all();
    arrived_.notify_all();
  }

 private:
  std::optional<T> take(std::unique_lock<std::mutex>& lock) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front().first));
    held_ -= items_.front().second;
    items_.pop_front();
    lock.unlock();
    room_.notify_one();
    return item;
  }

  const int64_t capacity_;
  std::mutex mutex_;
  std::condition_variable room_, arrived_;
  std::deque<std::pair<T, int64_t>> items_;
  int64_t held_ = 0;  // the sizes of the items
  bool closed_ = false;
};

}  // namespace moecollab
