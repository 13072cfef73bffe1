#include "base/compute.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "base/cuda_driver.h"
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
            bf16_is_faster() ? Precision::kBf16 : Precision::kFp32);
}

// What Linux says of the CPU is the other source: it lists amx_bf16 if programs may use it.
TEST(TrainingPrecision, OfIntelsCpusOnlyThoseWithAmxGainFromBf16) {
  std::ifstream file("/proc/cpuinfo");
  const std::string cpu((std::istreambuf_iterator<char>(file)), {});
  const auto has = [&](const char* word) { return cpu.find(word) != std::string::npos; };
  if (!has("GenuineIntel") && !has("AuthenticAMD")) GTEST_SKIP() << "neither Intel nor AMD";
  EXPECT_EQ(bf16_is_faster(), has("avx512_bf16") && (has("amx_bf16") || has("AuthenticAMD")));
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

TEST(Device, IsReadFromItsName) {
  EXPECT_EQ(parse_device("cpu"), Device{});
  EXPECT_EQ(parse_device("cuda"), (Device{DeviceType::kCuda, 0}));
  EXPECT_EQ(parse_device("cuda:0"), parse_device("cuda"));
  EXPECT_EQ(name(parse_device("cuda:12")), "cuda:12");
  EXPECT_EQ(name(Device{}), "cpu");
  for (const char* wrong : {"", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:128",
                            "cuda:99999999999", "cuda1", "cpu:0", "auto", "privateuseone:0"}) {
    try {
      parse_device(wrong);
      FAIL() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_CONFIG") << wrong;
    }
  }
}

TEST(Device, ItsIndexIsNoPartOfTheIdentity) {
  const Compute first{.device = parse_device("cuda:0")}, second{.device = parse_device("cuda:1")};
  EXPECT_EQ(first.identity(1), "cuda fp32");
  EXPECT_EQ(first.identity(), second.identity());
  EXPECT_NE(first.identity(), Compute{}.identity());
}

TEST(Compute, WhatADeviceDoesNotComputeWithIsRefused) {
  EXPECT_THROW(parse_precision("fp8"), Error);
  EXPECT_NO_THROW(require_precision({}));
  EXPECT_THROW(require_precision({.precision = Precision::kFp16}), Error) << "on the CPU";
  for (const Precision precision : {Precision::kBf16, Precision::kInt8}) {
    if (cpu_has(precision)) {
      EXPECT_NO_THROW(require_precision({.precision = precision}));
    } else {
      EXPECT_THROW(require_precision({.precision = precision}), Error) << "it is not emulated";
    }
  }
  const Device gpu = parse_device("cuda");
  for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16})
    EXPECT_NO_THROW(require_precision({.device = gpu, .precision = precision}));
  EXPECT_THROW(require_precision({.device = gpu, .precision = Precision::kInt8}), Error);
}

// This holds on machines with and without a GPU.
TEST(CudaDriver, EitherHasDevicesOrSaysWhyNot) {
  const CudaDriver& driver = cuda_driver();
  EXPECT_EQ(driver.failure.empty(), !driver.devices.empty()) << driver.failure;
  for (const CudaDevice& device : driver.devices) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_GT(device.memory_bytes, 0);
  }
  EXPECT_EQ(&cuda_driver(), &driver) << "it is looked for once";
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
