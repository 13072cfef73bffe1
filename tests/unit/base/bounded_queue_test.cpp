#include "base/bounded_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace moecollab {
namespace {

using ::testing::Optional;

TEST(BoundedQueue, GivesInOrderWhatItHolds) {
  BoundedQueue<int> queue(10);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.push(i, 3));
  queue.close();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(queue.pop(), Optional(i)) << "closed is not empty";
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

TEST(BoundedQueue, IsFullAtItsCapacity) {
  BoundedQueue<int> queue(5);
  std::atomic<int> pushed = 0;
  std::thread producer([&] {
    for (int i = 0; i < 4; ++i) pushed += queue.push(i, 2) ? 1 : 0;
  });
  while (pushed < 2) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(pushed, 2) << "a third one of 2 does not fit into 5";
  for (int i = 0; i < 4; ++i) EXPECT_THAT(queue.pop(), Optional(i));
  producer.join();
  EXPECT_EQ(pushed, 4);
}

TEST(BoundedQueue, WhatIsLargerThanTheCapacityIsHeldAlone) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.push(1, 9));
  std::atomic<bool> pushed = false;
  std::thread producer([&] { pushed = queue.push(2, 0) && queue.push(3, 1); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(pushed);
  for (int i = 1; i <= 3; ++i) EXPECT_THAT(queue.pop(), Optional(i));
  producer.join();
  EXPECT_TRUE(pushed);
}

TEST(BoundedQueue, ClosingEndsTheWaits) {
  BoundedQueue<std::unique_ptr<int>> full(1), empty(1);
  EXPECT_TRUE(full.push(std::make_unique<int>(1), 1));
  std::atomic<int> ended = 0;
  std::thread producer([&] { ended += full.push(std::make_unique<int>(2), 1) ? 0 : 1; });
  std::thread consumer([&] { ended += empty.pop() ? 0 : 1; });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(ended, 0);
  full.close();
  empty.close();
  producer.join();
  consumer.join();
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(**full.pop(), 1);
  EXPECT_EQ(full.pop(), std::nullopt) << "what came after the close is dropped";
}

}  // namespace
}  // namespace moecollab
