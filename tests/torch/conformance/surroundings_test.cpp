// LibTorch's state in this process, as the conformance suite sees it without being built with it.
#include "conformance/surroundings.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecollab::conformance {
namespace {

// The findings' expectations after `change`.
template <typename Change>
std::string seen_of(const Change& change) {
  begin_sequence();
  const Surroundings before = Surroundings::now();
  change();
  Findings findings;
  compare(before, Surroundings::now(), "it", /*uses_torch=*/true, findings);
  std::string all;
  for (const Finding& finding : findings.all()) all += finding.expected + "; ";
  return all;
}

TEST(Surroundings, SeesLibTorchsGeneratorAndThreads) {
  EXPECT_EQ(seen_of([] { at::ones({3}).sum(); }), "");
  EXPECT_EQ(seen_of([] { at::rand({3}); }), "it leaves LibTorch's default generator as it was; ");
  EXPECT_EQ(seen_of([] { at::manual_seed(3); }),
            "it leaves LibTorch's default generator as it was; ");
  const int threads = at::get_num_threads();
  EXPECT_EQ(seen_of([&] { at::set_num_threads(threads + 1); }),
            "it leaves LibTorch's number of threads as it was; ");
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace moecollab::conformance
