// What the other tests rely on: the test device refuses what a GPU would.
#include "torch/test_device.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

namespace moecollab::testing {
namespace {

using ::testing::HasSubstr;

struct TestDeviceTest : ::testing::Test {
  // What LibTorch says when it refuses; "accepted" if it does not.
  static std::string refusal(const std::function<void()>& call) {
    try {
      call();
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "accepted";
  }
  const at::Device device = use_test_device();
  const at::Tensor here = at::sin(at::arange(12, at::kFloat)).view({3, 4}), there = here.to(device);
  const at::Tensor index_here = at::tensor({2, 0}, at::kLong);
};

TEST_F(TestDeviceTest, TensorsOnTwoDevicesAreRefusedByOperatorAndArgument) {
  EXPECT_THAT(refusal([&] { at::add(there, here); }), HasSubstr("aten::add"));
  EXPECT_THAT(refusal([&] { at::mm(there, here.t()); }), HasSubstr("aten::mm"));
  EXPECT_THAT(refusal([&] { at::linear(there, here); }), HasSubstr("on cpu"));
  EXPECT_THAT(refusal([&] { at::cat({there, here}); }), HasSubstr("aten::cat"));
  EXPECT_THAT(refusal([&] { there.index_select(0, index_here); }), HasSubstr("`index`"));
  EXPECT_THAT(refusal([&] { there.gather(0, index_here.view({1, 2})); }), HasSubstr("gather"));
  EXPECT_THAT(refusal([&] { at::where(there > 0, there, here); }), HasSubstr("aten::where"));
  EXPECT_THAT(refusal([&] { at::layer_norm(there, {4}, here[0], here[0]); }), HasSubstr("on cpu"));
  EXPECT_THAT(refusal([&] { here.clone().index_copy_(0, index_here, there); }), HasSubstr("on"));
}

TEST_F(TestDeviceTest, NumbersAndIndicesFromTheHostAreTakenWhereAGpuTakesThem) {
  EXPECT_EQ(refusal([&] { at::mul(there, at::scalar_tensor(2.0F)); }), "accepted");
  EXPECT_EQ(refusal([&] { at::add(there, 1); }), "accepted");
  EXPECT_TRUE(there.index({index_here}).cpu().equal(here.index({index_here})));
  EXPECT_NE(refusal([&] { at::mm(there, at::scalar_tensor(2.0F)); }), "accepted");
}

TEST_F(TestDeviceTest, TheHostCannotReadItsMemory) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  for (const at::Tensor& tensor : {there, there[1], at::relu(there)}) {
    EXPECT_EQ(::write(ends[1], tensor.const_data_ptr(), 1), -1);
    EXPECT_EQ(errno, EFAULT);
  }
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_TRUE(at::empty({3}, there.options()).isnan().all().item<bool>()) << "new memory is NaN";
}

TEST_F(TestDeviceTest, CopiesKernelsAndValuesAreCounted) {
  reset_device_counts();
  const at::Tensor sent = here.to(device);
  const at::Tensor product = at::mm(sent, sent.t());
  product.view({9}).sum().item<float>();
  const at::Tensor back = product.cpu();
  const DeviceCounts counts = device_counts();
  EXPECT_EQ(counts.copies_to_device, 1);
  EXPECT_EQ(counts.bytes_to_device, 48);
  EXPECT_EQ(counts.copies_to_host, 1);
  EXPECT_EQ(counts.bytes_to_host, 36);
  EXPECT_EQ(counts.values_read, 1);
  EXPECT_EQ(counts.calls.at("aten::mm"), 1);
}

TEST_F(TestDeviceTest, RandomNumbersAndCpuKernelsAreItsOwnMatter) {
  at::Generator cpu = at::detail::createCPUGenerator(1);
  EXPECT_THAT(refusal([&] { at::empty_like(there).bernoulli_(0.5, cpu); }),
              HasSubstr("the generator is on cpu"));
  const auto op = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  ASSERT_TRUE(op);
  EXPECT_FALSE(op->hasKernelForDispatchKey(c10::DispatchKey::PrivateUse1));
}

TEST_F(TestDeviceTest, GradientsAreTheCpus) {
  const auto gradient = [&](const at::Tensor& x) {
    const at::Tensor w = x.clone().requires_grad_(true);
    const at::Tensor h = at::gelu(at::layer_norm(w, {4}));
    at::log_softmax(at::mm(h, w.t()), -1)
        .index_select(1, index_here.to(x.device()))
        .sum()
        .backward();
    return w.grad().cpu();
  };
  EXPECT_TRUE(gradient(there).equal(gradient(here)));
}

TEST_F(TestDeviceTest, MemoryIsCountedAndBounded) {
  const int64_t before = test_device_memory_used();
  {
    at::Tensor grown = at::zeros({6}, there.options());
    EXPECT_EQ(test_device_memory_used(), before + 24);
    grown.resize_({10000});
    EXPECT_GE(test_device_memory_used(), before + 40000);
  }
  EXPECT_EQ(test_device_memory_used(), before);
  set_test_device_memory(before + 100);
  EXPECT_THROW(at::zeros({100}, there.options()), c10::OutOfMemoryError);
  set_test_device_memory(std::nullopt);
  EXPECT_NO_THROW(at::zeros({100}, there.options()));
}

}  // namespace
}  // namespace moecollab::testing
