#include "conformance/guarded_memory.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace moecollab::conformance {
namespace {

// Reports where a fault lay, and ends; the sanitizers' own handlers are replaced.
void die_with_place(int, siginfo_t* info, void*) {
  std::fprintf(stderr, "fault %s\n", describe_address(info->si_addr).c_str());
  std::_Exit(3);
}

void report_faults() {
  struct sigaction action {};
  action.sa_sigaction = &die_with_place;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
}

// Through a volatile pointer, so that compilers do not reason about it.
void write(volatile unsigned char* at) { *at = 1; }

TEST(GuardedMemory, IsAlignedAndHoldsItsBytes) {
  for (const size_t size : {1, 63, 64, 65, 4096, 5000}) {
    GuardedMemory memory("x", size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 64, 0U);
    auto* bytes = static_cast<unsigned char*>(memory.data());
    for (size_t i = 0; i < size; ++i) bytes[i] = 7;
    EXPECT_EQ(memory.outside(), "") << size;
  }
}

TEST(GuardedMemory, SaysWhatWasWrittenRoundIt) {
  GuardedMemory memory("logits", 60);
  auto* bytes = static_cast<unsigned char*>(memory.data());
  write(bytes + 62);
  EXPECT_EQ(memory.outside(), "3 bytes past the end of logits");
  GuardedMemory other("logits", 60);
  write(static_cast<unsigned char*>(other.data()) - 4);
  EXPECT_EQ(other.outside(), "4 bytes before the start of logits");
}

TEST(GuardedMemoryDeathTest, FaultsBeyondItsPagesAndWhereItIsReadOnly) {
  GuardedMemory memory("logits", 64), input("pooled[0]", 128);
  input.make_read_only();
  auto* bytes = static_cast<unsigned char*>(memory.data());
  auto* read_only = static_cast<unsigned char*>(input.data());
  EXPECT_EXIT((report_faults(), write(bytes + 64)), testing::ExitedWithCode(3),
              "fault 1 bytes past the end of logits");
  EXPECT_EXIT((report_faults(), write(read_only + 8)), testing::ExitedWithCode(3),
              "fault at byte 8 of the read-only pooled\\[0\\]");
}

TEST(GuardedMemoryDeathTest, WhatWasTakenBackFaultsAndKeepsItsPlace) {
  GuardedMemory lent("the config", 100);
  void* const place = lent.data();
  lent.take_back();
  const GuardedMemory next("another", 100);
  EXPECT_NE(next.data(), place);
  EXPECT_EXIT((report_faults(), write(static_cast<unsigned char*>(place) + 3)),
              testing::ExitedWithCode(3),
              "fault at byte 3 of the config, which is the host's again");
}

}  // namespace
}  // namespace moecollab::conformance
