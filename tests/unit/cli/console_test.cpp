#include "cli/console.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace moecollab::cli {
namespace {

const ProgressTask kEpochs{"epochs", "epoch", 8, 0};

TEST(ProgressLine, TellsARateOrTheSecondsOfAStep) {
  EXPECT_EQ(progress_line({"encoding news", "text", 400, 0}, 128, 4, "cached 3"),
            "encoding news: 128/400 texts, 32/s, 8 s left, cached 3");
  EXPECT_EQ(progress_line(kEpochs, 4, 4, ""), "epochs: 4/8 epochs, 1/s, 4 s left");
  EXPECT_EQ(progress_line(kEpochs, 3, 12.6, "loss 0.1"),
            "epochs: 3/8 epochs, 4.2 s per epoch, 21 s left, loss 0.1");
  EXPECT_EQ(progress_line(kEpochs, 8, 640, ""), "epochs: 8/8 epochs, 80.0 s per epoch, 0 s left");
}

TEST(ProgressLine, StepsOfAnEarlierRunSayNothingAboutTheRate) {
  const ProgressTask resumed{"epochs", "epoch", 8, 5};
  EXPECT_EQ(progress_line(resumed, 6, 10, ""), "epochs: 6/8 epochs, 10.0 s per epoch, 20 s left");
  EXPECT_EQ(progress_line(resumed, 5, 10, ""), "epochs: 5/8 epochs");
}

std::string written_by(const std::function<void()>& write) {
  testing::internal::CaptureStderr();
  write();
  return testing::internal::GetCapturedStderr();
}

TEST(Console, SaysNotesUnlessQuietAndWarningsAlways) {
  const auto say = [](const ConsoleSettings& settings) {
    return written_by([&] {
      Console console(settings);
      Log(console).note("a note");
      Log(console).warning("a warning", "the way on");
      Log(console).warning("another");
    });
  };
  EXPECT_EQ(say({}), "a note\nwarning: a warning; the way on\nwarning: another\n");
  EXPECT_EQ(say({.quiet = true}), "warning: a warning; the way on\nwarning: another\n");
  EXPECT_EQ(say({.quiet = true, .colour = true}),
            "\033[33mwarning\033[0m: a warning; the way on\n\033[33mwarning\033[0m: another\n");
}

TEST(Console, ShowsNoProgressIfQuiet) {
  EXPECT_EQ(Console({.quiet = true}).open(kEpochs), nullptr);
  EXPECT_EQ(written_by([] { Console().open(kEpochs)->advance(1, ""); }), "") << "under a second";
}

TEST(Write, WhatCannotBeWrittenIsDropped) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  write_what_can_be_written(ends[1], "hello");
  char read[8] = {};
  EXPECT_EQ(::read(ends[0], read, sizeof read), 5);
  EXPECT_STREQ(read, "hello");
  ::close(ends[0]);
  write_what_can_be_written(ends[1], "nobody reads it");  // SIGPIPE would end this process
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0) << "left for later";
  ::close(ends[1]);
  write_what_can_be_written(ends[1], "closed");
  const int full = ::open("/dev/full", O_WRONLY);
  write_what_can_be_written(full, "full");
  ::close(full);
}

// In a child, whose descriptors may be closed. Exit status 0 if `expected` holds there.
int status_of_child(const std::function<bool()>& expected) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(expected() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(StandardDescriptors, ThoseThatAreClosedAreNotGivenToTheNextFile) {
  EXPECT_EQ(status_of_child([] {
              for (const int fd : {0, 1, 2}) ::close(fd);
              occupy_standard_descriptors();
              char byte = 0;
              return ::open("/dev/null", O_RDONLY) > 2 && ::read(0, &byte, 1) == -1 &&
                     ::write(1, &byte, 1) == -1;
            }),
            0);
}

TEST(StandardDescriptors, ThoseThatAreOpenStay) {
  EXPECT_EQ(status_of_child([] {
              int ends[2];
              if (::pipe(ends) != 0 || ::dup2(ends[1], 2) != 2) return false;
              ::close(1);
              occupy_standard_descriptors();
              write_to_stderr("x");
              char byte = 0;
              return ::read(ends[0], &byte, 1) == 1 && byte == 'x';
            }),
            0);
}

}  // namespace
}  // namespace moecollab::cli
