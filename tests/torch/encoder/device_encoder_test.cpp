// The encoder on another device than the CPU: a test device that computes with the CPU's kernels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/error.h"
#include "encoder/device.h"
#include "torch/encoder/opened_encoder.h"
#include "torch/packed_attention.h"
#include "torch/test_device.h"
#include "torch/test_device_memory.h"

namespace moecollab::encoder {
namespace {

using moecollab::testing::device_counts;
using moecollab::testing::reset_device_counts;
using moecollab::testing::TinyEncoder;
using ::testing::HasSubstr;

constexpr PooledKey kMeanOfLast{2, Pooling::kMean}, kFirstOfEmbeddings{0, Pooling::kCls};

struct DeviceEncoderTest : OpenedEncoder {
  DeviceEncoderTest() {
    moecollab::testing::use_test_device();
    moecollab::testing::use_packed_attention();
  }
  ~DeviceEncoderTest() override { moecollab::testing::set_test_device_memory(std::nullopt); }

  Encoder open_on_device(Precision precision = Precision::kFp32, int64_t batch_tokens = 2048) {
    const Compute compute{.device = {DeviceType::kPrivateUse1, 0}, .precision = precision};
    return Encoder({tiny.folder(), 16}, compute, batch_tokens, nullptr,
                   {log.log(), context.stop, context.displays});
  }
  static double distance(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
  }

  CollectingLog log{Log()};
};

FeatureRequest mean_of_last() {
  FeatureRequest request;
  request.pooled = {kMeanOfLast};
  return request;
}

FeatureRequest stopping_at_1() {
  FeatureRequest request;
  request.pooled = {{1, Pooling::kMean}};
  request.stop_at = 1;
  return request;
}

FeatureRequest everything() {
  FeatureRequest request;
  request.pooled = {kMeanOfLast, kFirstOfEmbeddings};
  request.hidden = {1, 2};
  request.tokens = true;
  return request;
}

TEST_F(DeviceEncoderTest, GivesTheFeaturesOfTheCpu) {
  Encoder on_cpu = open(), on_device = open_on_device();
  const Features expected = on_cpu.encode(kTexts, everything());
  for (const int64_t batch_tokens : {1, 20, 2048}) {
    const Features found =
        open_on_device(Precision::kFp32, batch_tokens).encode(kTexts, everything());
    for (const auto& [key, features] : expected.pooled) {
      EXPECT_TRUE(found.pooled.at(key).is_cpu());
      EXPECT_LT(distance(found.pooled.at(key), features), 1e-5) << batch_tokens;
    }
    for (const auto& [layer, states] : expected.hidden)
      EXPECT_LT(distance(found.hidden.at(layer), states), 1e-5) << batch_tokens;
    EXPECT_EQ(found.row_offsets, expected.row_offsets);
    EXPECT_TRUE(found.token_ids.equal(expected.token_ids));
  }
}

TEST_F(DeviceEncoderTest, HalfPrecisionsAreNear) {
  const Features expected = open().encode(kTexts, mean_of_last());
  for (const auto& [precision, bound] :
       {std::pair(Precision::kFp16, 1e-2), {Precision::kBf16, 1e-1}}) {
    const Features found = open_on_device(precision).encode(kTexts, mean_of_last());
    const double off = distance(found.pooled.at(kMeanOfLast), expected.pooled.at(kMeanOfLast));
    EXPECT_LT(off, bound) << name(precision);
    EXPECT_GT(off, 0) << "it computed in another precision";
    EXPECT_EQ(found.pooled.at(kMeanOfLast).scalar_type(), at::kFloat);
  }
}

TEST_F(DeviceEncoderTest, CopiesAPassNotAText) {
  Encoder encoder = open_on_device();
  encoder.load();
  reset_device_counts();
  encoder.encode(kTexts, mean_of_last());
  EXPECT_EQ(device_counts().copies_to_device, 2) << "ids with positions, and where texts begin";
  EXPECT_EQ(device_counts().copies_to_host, 1);
  EXPECT_EQ(device_counts().values_read, 0) << "the host would wait";
}

TEST_F(DeviceEncoderTest, APassContinuesFromWhereItStopped) {
  Encoder encoder = open_on_device();
  const Features stopped = encoder.encode(kTexts, stopping_at_1());
  const std::vector<int64_t> rows = {4, 1};
  const Features deeper = encoder.deepen(stopped, rows, mean_of_last());
  const Features whole = encoder.encode(kTexts, mean_of_last());
  EXPECT_LT(distance(deeper.pooled.at(kMeanOfLast),
                     whole.pooled.at(kMeanOfLast).index_select(0, index_tensor(rows))),
            1e-5);
}

// The last block of the encoder as an expert's own; the states may be there already.
TEST_F(DeviceEncoderTest, AForkGivesTheMeansOfTheCpu) {
  FeatureRequest request = mean_of_last();
  request.hidden = {1};
  for (const bool there : {false, true}) {
    for (const bool scarce : {false, true}) {
      Encoder on_cpu = open(), on_device = open_on_device();
      const Features features = on_cpu.encode(kTexts, request);
      const auto weight = [&](int64_t, const std::string& name) {
        return *on_cpu.weight("encoder.layer.1." + name);
      };
      const std::unique_ptr<Fork> fork = on_device.fork(1, weight);
      const at::Device place = there ? moecollab::testing::use_test_device() : at::Device(kHost);
      const at::Tensor states = features.hidden.at(1).to(place);
      at::Tensor means = at::empty({features.rows(), TinyEncoder::kHidden}, states.options());
      using moecollab::testing::set_test_device_memory, moecollab::testing::test_device_memory_used;
      if (scarce) set_test_device_memory(test_device_memory_used() + 20000);
      fork->means(states, features.row_offsets, means);
      EXPECT_LT(distance(means.cpu(), features.pooled.at(kMeanOfLast)), 1e-5) << scarce << there;
      set_test_device_memory(std::nullopt);
    }
  }
}

TEST_F(DeviceEncoderTest, NanIsRefusedWithThePrecision) {
  tiny.tensors().at("encoder.layer.1.output.dense.bias").fill_(70000);  // beyond fp16
  tiny.write_weights();
  try {
    open_on_device(Precision::kFp16).encode(kTexts, mean_of_last());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_ENCODER");
    EXPECT_THAT(error.what(), HasSubstr("in fp16"));
    EXPECT_THAT(error.hint(), HasSubstr("fp32"));
  }
}

TEST_F(DeviceEncoderTest, ABatchThatDoesNotFitIsHalvedAndSaysSoOnce) {
  const Features expected = open().encode(kTexts, mean_of_last());
  Encoder encoder = open_on_device();
  encoder.load();
  moecollab::testing::set_test_device_memory(moecollab::testing::test_device_memory_used() + 20000);
  const Features found = encoder.encode(kTexts, mean_of_last());
  EXPECT_LT(distance(found.pooled.at(kMeanOfLast), expected.pooled.at(kMeanOfLast)), 1e-5);
  const auto warnings = log.texts();
  ASSERT_GE(warnings.size(), 1U);
  EXPECT_THAT(warnings.front(), HasSubstr("has no memory for"));
  reset_device_counts();
  encoder.encode(kTexts, mean_of_last());
  EXPECT_EQ(log.texts().size(), warnings.size()) << "no larger batch was tried";
}

TEST_F(DeviceEncoderTest, ATextThatDoesNotFitIsRefusedWithFigures) {
  Encoder encoder = open_on_device();
  encoder.load();
  moecollab::testing::set_test_device_memory(moecollab::testing::test_device_memory_used() + 64);
  try {
    encoder.encode(kTexts, mean_of_last());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_CONFIG");
    EXPECT_THAT(error.what(), HasSubstr("has no memory for a text of"));
    EXPECT_THAT(error.what(), HasSubstr("bytes"));
    EXPECT_THAT(error.hint(), HasSubstr("--device cpu"));
  }
}

TEST_F(DeviceEncoderTest, AStopEndsBetweenTwoPasses) {
  const std::atomic<bool> stopped = true;
  context.stop = StopToken(stopped);
  Encoder encoder = open_on_device(Precision::kFp32, 1);
  try {
    encoder.encode(kTexts, mean_of_last(), "encoding");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_INTERRUPTED");
  }
}

// This holds on machines with and without a GPU.
TEST(CudaStateTest, ADeviceThatIsNotHereIsRefusedWithAllThatIsMissing) {
  const CudaState& state = cuda_state();
  EXPECT_EQ(state.failure.empty(), state.devices > 0);
  EXPECT_EQ(state.hint.empty(), state.devices > 0);
  const Device beyond{DeviceType::kCuda, state.devices};  // the first that is not here
  try {
    require_device({.device = beyond});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_CONFIG");
    const std::string what = state.devices > 0 ? " is not here" : " cannot be used: ";
    EXPECT_THAT(error.what(), HasSubstr(name(beyond) + what + state.failure));
    EXPECT_THAT(error.hint(), HasSubstr(state.hint));
  }
  EXPECT_NO_THROW(use_device({}));
}

}  // namespace
}  // namespace moecollab::encoder
