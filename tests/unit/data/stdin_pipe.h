// A pipe that a test writes and the code reads as standard input.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

namespace moecollab::data {

// A pipe whose reading end is standard input while it lives.
class StdinPipe {
 public:
  StdinPipe() : saved_(::dup(STDIN_FILENO)) {
    std::array<int, 2> ends;
    EXPECT_EQ(::pipe(ends.data()), 0);
    EXPECT_EQ(::dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    ::close(ends[0]);
    writing_ = ends[1];
  }
  ~StdinPipe() {
    close();
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }
  void write(std::string_view bytes) {
    EXPECT_EQ(::write(writing_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void close() {
    if (writing_ >= 0) ::close(std::exchange(writing_, -1));
  }

 private:
  int saved_;
  int writing_ = -1;
};

}  // namespace moecollab::data
