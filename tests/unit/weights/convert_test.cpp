#include "weights/convert.h"

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "unit/weights/helpers.h"

namespace moecollab::weights {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A tensor over these elements, at an odd address.
template <typename Element>
class Tensor {
 public:
  Tensor(DType dtype, const std::vector<Element>& elements)
      : bytes_(1 + elements.size() * sizeof(Element)) {
    std::memcpy(bytes_.data() + 1, elements.data(), elements.size() * sizeof(Element));
    view_ = {"x", dtype, {static_cast<int64_t>(elements.size())}, std::span(bytes_).subspan(1)};
  }
  const TensorView& view() const { return view_; }

 private:
  std::vector<std::byte> bytes_;
  TensorView view_;
};

TEST(Convert, F32IsCopied) {
  const Tensor<float> tensor(DType::kF32, {1.5f, -0.0f, 3e38f});
  EXPECT_THAT(to_f32(tensor.view()), ElementsAre(1.5f, -0.0f, 3e38f));
}

TEST(Convert, EmptyTensorsGiveNothing) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    EXPECT_THAT(to_f32(TensorView{"x", dtype, {0, 4}, {}}), IsEmpty());
  }
}

// The value of a half by the definition of IEEE 754 binary16.
double half(uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(Convert, AllHalvesAreExact) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  const std::vector<float> values = to_f32(Tensor<uint16_t>(DType::kF16, all).view());
  ASSERT_EQ(values.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const double expected = half(all[i]);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(values[i])) << i;
    } else {
      EXPECT_EQ(values[i], expected) << i;
      EXPECT_EQ(std::signbit(values[i]), (i & 0x8000) != 0) << i;
    }
  }
}

TEST(Convert, BFloat16IsTheUpperHalfOfAFloat) {
  const Tensor<uint16_t> tensor(DType::kBF16, {0x3FC0, 0x8000, 0x7F80, 0x0001, 0x7FC1});
  const std::vector<float> values = to_f32(tensor.view());
  EXPECT_EQ(values[0], 1.5f);
  EXPECT_EQ(std::bit_cast<uint32_t>(values[1]), 0x80000000u);
  EXPECT_EQ(values[2], std::numeric_limits<float>::infinity());
  EXPECT_EQ(std::bit_cast<uint32_t>(values[3]), 0x00010000u);
  EXPECT_TRUE(std::isnan(values[4]));
}

TEST(Convert, R36_OtherTypesAreUnsupportedForWeights) {
  for (int i = 0; i <= static_cast<int>(DType::kU64); ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16) continue;
    const Tensor<uint64_t> tensor(dtype, {0, 0, 0});
    expect_refusal([&] { to_f32(tensor.view()); }, "E_ST_DTYPE",
                   "tensor `x` has dtype " + std::string(name(dtype)));
  }
}

TEST(Convert, OutputOfAnotherSizeIsALogicError) {
  const Tensor<float> tensor(DType::kF32, {1, 2});
  std::vector<float> out(3);
  EXPECT_THROW(copy_f32(tensor.view(), out), std::logic_error);
  EXPECT_THROW(copy_f32(tensor.view(), std::span(out).first(1)), std::logic_error);
}

template <typename Element>
void expect_first_nonfinite(DType dtype, std::vector<Element> finite, std::vector<Element> others) {
  EXPECT_EQ(first_nonfinite(Tensor<Element>(dtype, finite).view()), std::nullopt) << name(dtype);
  for (const Element other : others) {
    std::vector<Element> elements = finite;
    elements.push_back(other);
    elements.push_back(other);
    EXPECT_EQ(first_nonfinite(Tensor<Element>(dtype, elements).view()), finite.size())
        << name(dtype) << " " << uint64_t{other};
  }
}

TEST(Convert, R38_NonFiniteValuesOfEveryTypeAreFound) {
  expect_first_nonfinite<uint16_t>(DType::kF16, {0, 0x7BFF, 0xFBFF}, {0x7C00, 0xFC00, 0x7E01});
  expect_first_nonfinite<uint16_t>(DType::kBF16, {0, 0x7F7F, 0xFF7F}, {0x7F80, 0xFF80, 0x7FC0});
  expect_first_nonfinite<uint32_t>(DType::kF32, {0, 0x7F7FFFFF, 0xFF7FFFFF},
                                   {0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001});
  expect_first_nonfinite<uint64_t>(DType::kF64, {0, 0x7FEFFFFFFFFFFFFF},
                                   {0x7FF0000000000000, 0xFFF0000000000000, 0x7FF0000000000001});
  expect_first_nonfinite<uint64_t>(DType::kC64, {0, 0x7F7FFFFF7F7FFFFF},
                                   {0x7F800000, 0xFF80000000000000});
  expect_first_nonfinite<uint8_t>(DType::kF8E5M2, {0, 0x7B, 0xFB}, {0x7C, 0xFC, 0x7F});
  expect_first_nonfinite<uint8_t>(DType::kF8E4M3, {0, 0x7E, 0xFE}, {0x7F, 0xFF});
  expect_first_nonfinite<uint8_t>(DType::kF8E8M0, {0, 0x7F, 0xFE}, {0xFF});
  expect_first_nonfinite<uint8_t>(DType::kF8E4M3FNUZ, {0, 0x7F, 0xFF}, {0x80});
  expect_first_nonfinite<uint8_t>(DType::kF8E5M2FNUZ, {0, 0x7F, 0xFF}, {0x80});
  expect_first_nonfinite<uint64_t>(DType::kI64, {UINT64_MAX, 0x7FF0000000000000}, {});
  expect_first_nonfinite<uint8_t>(DType::kF4, {0xFF, 0x7F, 0x80}, {});
}

}  // namespace
}  // namespace moecollab::weights
