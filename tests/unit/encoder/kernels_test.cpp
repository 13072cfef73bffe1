#include "encoder/kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace moecollab::encoder {
namespace {

using Floats = std::vector<float>;

// Numbers between −scale and scale, by position alone.
Floats numbers(int64_t count, int seed, float scale = 1) {
  Floats values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto mixed = static_cast<uint32_t>(i * 2654435761U + static_cast<uint32_t>(seed) * 97U);
    values[i] = (static_cast<float>(mixed >> 8) / static_cast<float>(1 << 23) - 1) * scale;
  }
  return values;
}

uint16_t to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
float from_bf16(uint16_t x) {
  const uint32_t bits = uint32_t{x} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

double activation_of(Activation kind, double x) {
  switch (kind) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

class KernelsTest : public ::testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& kernels = *GetParam();
};

TEST_P(KernelsTest, ActivationsEqualTheirDefinition) {
  Floats tile(3 * kTile);
  for (size_t i = 0; i < tile.size(); ++i) tile[i] = -12 + 0.125F * static_cast<float>(i);
  const Floats bias = numbers(kTile, 1);
  for (const Activation kind : {Activation::kNone, Activation::kGelu, Activation::kGeluTanh,
                                Activation::kRelu, Activation::kSilu}) {
    Floats out(3 * kTile);
    std::vector<uint16_t> halves(3 * kTile);
    kernels.activate(kind, {tile.data(), 3}, bias.data(), Numbers::kFp32, out.data(), kTile);
    kernels.activate(kind, {tile.data(), 3}, bias.data(), Numbers::kBf16, halves.data(), kTile);
    for (size_t i = 0; i < out.size(); ++i) {
      const float x = tile[i] + bias[i % kTile];
      const double expected = activation_of(kind, x);
      EXPECT_NEAR(out[i], expected, 2e-6 * std::max(1.0, std::abs(expected))) << x;
      EXPECT_EQ(halves[i], to_bf16(out[i])) << x;
    }
  }
}

TEST_P(KernelsTest, ResidualsAddUp) {
  Floats tile = numbers(2 * kTile, 1), bias = numbers(kTile, 2), x = numbers(4 * kTile, 3);
  const Floats before = x;
  kernels.add_residual({tile.data(), 2}, bias.data(), x.data(), 2 * kTile);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t row = i / (2 * kTile), column = i % (2 * kTile);
    const float added = column < kTile ? tile[row * kTile + column] + bias[column] : 0;
    EXPECT_EQ(x[i], before[i] + added) << i;
  }
}

// Widths with and without a rest after whole vectors.
TEST_P(KernelsTest, LayerNormEqualsItsDefinition) {
  for (const int64_t width : {64, 50, 37}) {
    constexpr int64_t kRows = 3, kStride = kTile;
    Floats x = numbers(kRows * kStride, 1, 5);
    const Floats weight = numbers(width, 2), bias = numbers(width, 3), before = x;
    std::vector<uint16_t> halves(kRows * kStride);
    kernels.layer_norm(x.data(), kStride, kRows, width, weight.data(), bias.data(), 1e-12F,
                       {Numbers::kBf16, halves.data(), kStride});
    for (int64_t r = 0; r < kRows; ++r) {
      double mean = 0, square = 0;
      for (int64_t c = 0; c < width; ++c) mean += before[r * kStride + c] / double(width);
      for (int64_t c = 0; c < width; ++c)
        square += std::pow(before[r * kStride + c] - mean, 2) / double(width);
      for (int64_t c = 0; c < kStride; ++c) {
        const auto i = static_cast<size_t>(r * kStride + c);
        const double expected =
            c < width ? (before[i] - mean) / std::sqrt(square) * weight[c] + bias[c] : before[i];
        EXPECT_NEAR(x[i], expected, 1e-5);
        EXPECT_EQ(halves[i], c < width ? to_bf16(x[i]) : 0);
      }
    }
  }
}

TEST_P(KernelsTest, Uint8RowsStandForTheirNumbers) {
  constexpr int64_t kWidth = 50, kRows = 3;
  Floats x = numbers(kRows * kTile, 1, 4);
  std::fill_n(x.begin() + kTile, kWidth, -2.5F);  // a row without a range
  x[2 * kTile + 7] = 1000;                        // an outlier costs its own row only
  std::vector<uint8_t> bytes(kRows * kTile);
  Floats scales(kRows), offsets(kRows);
  kernels.convert(x.data(), kTile, kRows, kWidth,
                  {Numbers::kUint8, bytes.data(), kTile, scales.data(), offsets.data()});
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < kWidth; ++c) {
      const auto i = static_cast<size_t>(r * kTile + c);
      const double stands_for = double(scales[r]) * bytes[i] + offsets[r];
      EXPECT_NEAR(stands_for, x[i], 0.501 * scales[r] + 1e-6) << r << " " << c;
    }
  }
  EXPECT_LT(scales[0], 0.04F);
}

TEST_P(KernelsTest, Uint8RowsDoNotHideWhatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const size_t at : {size_t{0}, size_t{5}, size_t{49}}) {
      Floats x = numbers(kTile, 1);
      x[at] = bad;
      std::vector<uint8_t> bytes(kTile);
      Floats scales(1), offsets(1);
      kernels.convert(x.data(), kTile, 1, 50,
                      {Numbers::kUint8, bytes.data(), kTile, scales.data(), offsets.data()});
      EXPECT_TRUE(std::isnan(scales[0])) << bad << " at " << at;
    }
  }
}

TEST_P(KernelsTest, SumsAreDequantised) {
  Floats tile(2 * kTile);
  std::vector<int32_t> sums(tile.size());
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<int32_t>(i) * 1001 - 50000;
  std::memcpy(tile.data(), sums.data(), sums.size() * sizeof(int32_t));
  const Floats scales = {0.5F, 0.25F}, offsets = {-1, 3}, column_scales = numbers(kTile, 1),
               column_sums = numbers(kTile, 2, 100);
  kernels.dequantise({tile.data(), 2}, scales.data(), offsets.data(), column_scales.data(),
                     column_sums.data());
  for (size_t i = 0; i < tile.size(); ++i) {
    const size_t r = i / kTile, c = i % kTile;
    const double expected =
        double(column_scales[c]) * (double(scales[r]) * sums[i] + offsets[r] * column_sums[c]);
    EXPECT_NEAR(tile[i], expected, 1e-5 * std::abs(expected) + 1e-4);
  }
}

struct Sequence {
  int64_t length, width;
};

// softmax(q·kᵀ/√w)·v in double precision, of rows [length, 3 · width].
std::vector<double> attention_of(const Floats& qkv, const Sequence& s) {
  std::vector<double> out;
  const auto at = [&](int64_t row, int64_t part, int64_t c) {
    return double(qkv[static_cast<size_t>(row * 3 * s.width + part * s.width + c)]);
  };
  for (int64_t i = 0; i < s.length; ++i) {
    std::vector<double> scores;
    for (int64_t j = 0; j < s.length; ++j) {
      double score = 0;
      for (int64_t c = 0; c < s.width; ++c) score += at(i, 0, c) * at(j, 1, c);
      scores.push_back(score / std::sqrt(double(s.width)));
    }
    const double most = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - most);
    for (int64_t c = 0; c < s.width; ++c) {
      double mixed = 0;
      for (int64_t j = 0; j < s.length; ++j) mixed += scores[static_cast<size_t>(j)] * at(j, 2, c);
      out.push_back(mixed / sum);
    }
  }
  return out;
}

constexpr Sequence kSequences[] = {{1, 32}, {2, 32},  {11, 32}, {12, 16}, {13, 64},
                                   {16, 8}, {33, 32}, {64, 24}, {100, 32}};

TEST_P(KernelsTest, AttentionEqualsItsDefinition) {
  for (const Sequence& s : kSequences) {
    for (const float scale : {1.0F, 6.0F}) {  // the second makes one score win
      Floats qkv = numbers((s.length + kReadBeyond) * 3 * s.width, 5, scale);
      Floats out(static_cast<size_t>(s.length * s.width)),
          scratch(static_cast<size_t>(attention_scratch(s.length, s.width)));
      kernels.attention(qkv.data(), qkv.data() + s.width, qkv.data() + 2 * s.width, 3 * s.width,
                        s.length, s.width, out.data(), s.width, scratch.data());
      const std::vector<double> expected = attention_of(qkv, s);
      for (size_t i = 0; i < out.size(); ++i)
        ASSERT_NEAR(out[i], expected[i], 1e-4 * scale) << s.length << " " << s.width << " " << i;
    }
  }
}

TEST_P(KernelsTest, AttentionOfBf16IsThatOfItsNumbers) {
  for (const Sequence& s : kSequences) {
    const Floats drawn = numbers((s.length + kReadBeyond) * 3 * s.width, 5);
    std::vector<uint16_t> qkv;
    Floats exact;
    for (const float x : drawn) {
      qkv.push_back(to_bf16(x));
      exact.push_back(from_bf16(qkv.back()));
    }
    std::vector<uint16_t> out(static_cast<size_t>(s.length * s.width));
    Floats scratch(static_cast<size_t>(attention_scratch(s.length, s.width)));
    kernels.attention_bf16(qkv.data(), qkv.data() + s.width, qkv.data() + 2 * s.width, 3 * s.width,
                           s.length, s.width, out.data(), s.width, scratch.data());
    const std::vector<double> expected = attention_of(exact, s);
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(from_bf16(out[i]), expected[i], 1e-2) << s.length << " " << s.width << " " << i;
  }
}

TEST_P(KernelsTest, MeansAreThoseOfTheRows) {
  const Floats x = numbers(5 * kTile, 1);
  Floats out(37);
  kernels.mean(x.data(), kTile, 5, 37, out.data());
  for (size_t c = 0; c < out.size(); ++c) {
    double sum = 0;
    for (size_t r = 0; r < 5; ++r) sum += x[r * kTile + c];
    EXPECT_NEAR(out[c], sum / 5, 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(OfThisCpu, KernelsTest,
                         ::testing::ValuesIn(usable_kernels().begin(), usable_kernels().end()),
                         [](const auto& kernels) { return std::string(kernels.param->name); });

TEST(UsableKernels, TheLastIsPortable) { EXPECT_EQ(usable_kernels().back()->name, "portable"); }

TEST(Activations, AreKnownByBertConfigsNames) {
  for (const char* name : {"gelu", "gelu_tanh", "relu", "silu"})
    EXPECT_TRUE(parse_activation(name).has_value()) << name;
  EXPECT_FALSE(parse_activation("quick_gelu").has_value());
}

}  // namespace
}  // namespace moecollab::encoder
