#include "base/compute.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"

namespace moecollab {
namespace {

constexpr const char* kVariable = "MOECOLLAB_TRAINING_PRECISION";

// Sets the variable, or removes it, for one test.
class Forced {
 public:
  explicit Forced(const char* value) {
    if (const char* before = std::getenv(kVariable)) before_ = before;
    value == nullptr ? ::unsetenv(kVariable) : ::setenv(kVariable, value, 1);
  }
  ~Forced() { before_.empty() ? ::unsetenv(kVariable) : ::setenv(kVariable, before_.c_str(), 1); }

 private:
  std::string before_;
};

TEST(TrainingPrecision, AutoFollowsTheCpu) {
  const Forced nothing(nullptr);
  EXPECT_EQ(resolve_training_precision("auto"),
            cpu_has(Precision::kBf16) ? Precision::kBf16 : Precision::kFp32);
}

TEST(TrainingPrecision, TheVariableDecidesAutoAndNothingElse) {
  for (const Precision forced : {Precision::kFp32, Precision::kBf16}) {
    const Forced variable(name(forced));
    EXPECT_EQ(resolve_training_precision("auto"), forced);
    EXPECT_EQ(resolve_training_precision("fp32"), Precision::kFp32);
    EXPECT_EQ(resolve_training_precision("bf16"), Precision::kBf16);
  }
}

TEST(TrainingPrecision, AKindThatSaysNothingTrainsInFp32) {
  const Forced variable(name(Precision::kBf16));
  EXPECT_EQ(resolve_training_precision(std::nullopt), Precision::kFp32);
}

// Cache keys, probe records and run digests of version 0.3.0 hold this very text.
TEST(Compute, IdentityOfTheFirstKernelsIsThatOfOldRecords) {
  EXPECT_EQ(Compute{}.identity(1), "cpu fp32");
  EXPECT_EQ(Compute{}.identity(2), "cpu fp32 kernels 2");
  const Compute other{.threads = Compute{}.threads + 7};
  EXPECT_EQ(other.identity(), Compute{}.identity()) << "threads are no part of it";
  EXPECT_GE(usable_cores(), 1);
}

TEST(Compute, EveryPrecisionIsFoundByItsName) {
  for (const Precision precision : kPrecisions)
    EXPECT_EQ(find_precision(name(precision)), precision);
  EXPECT_EQ(find_precision("auto"), std::nullopt);
  EXPECT_EQ(find_precision(""), std::nullopt);
}

TEST(Compute, TheCpuHasAName) {
  EXPECT_FALSE(cpu_model().empty());
  EXPECT_EQ(cpu_model().find('\n'), std::string::npos);
}

TEST(Compute, WhatThisVersionDoesNotComputeWithIsRefused) {
  EXPECT_EQ(resolve_device("auto"), Device::kCpu);
  EXPECT_EQ(resolve_device("cpu"), Device::kCpu);
  EXPECT_EQ(resolve_precision("fp32"), Precision::kFp32);
  EXPECT_THROW(resolve_device("cuda"), Error);
  EXPECT_THROW(resolve_precision("fp16"), Error);
  for (const Precision precision : {Precision::kBf16, Precision::kInt8}) {
    if (cpu_has(precision)) {
      EXPECT_EQ(resolve_precision(name(precision)), precision);
    } else {
      EXPECT_THROW(resolve_precision(name(precision)), Error) << "it is not emulated";
    }
  }
}

TEST(TrainingPrecision, OthersAreRefusedByName) {
  const Forced variable("fp16");
  for (const auto& [stated, what] :
       {std::pair("auto", kVariable), {"int8", "[training] precision"}}) {
    try {
      resolve_training_precision(stated);
      FAIL() << stated;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_CONFIG");
      EXPECT_NE(std::string_view(error.what()).find(what), std::string_view::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace moecollab
