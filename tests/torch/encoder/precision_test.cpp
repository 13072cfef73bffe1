// The encoder in each precision that this CPU multiplies.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "encoder/encoder.h"
#include "encoder/product.h"
#include "torch/tiny_encoder.h"

namespace moecollab::encoder {
namespace {

// x·Wᵀ [rows, out] in tiles.
at::Tensor product_of(const at::Tensor& x, const at::Tensor& weight, Precision precision) {
  const Kernels& kernels = *usable_kernels().front();
  const int64_t rows = x.size(0), in = x.size(1), out = weight.size(0), stride = whole_tiles(in);
  Arena memory(Arena::piece(Product::bytes(out, in, precision)));
  const Product product(weight, at::zeros({out}), precision, kernels, memory);
  at::Tensor wide = at::constant_pad_nd(x, {0, stride - in});
  std::vector<uint16_t> halves(static_cast<size_t>(rows * stride));
  std::vector<float> scales(static_cast<size_t>(rows)), offsets(static_cast<size_t>(rows));
  Operand operand{numbers_of(precision), halves.data(), stride, scales.data(), offsets.data()};
  if (precision == Precision::kFp32) operand.values = wide.mutable_data_ptr<float>();
  kernels.convert(wide.const_data_ptr<float>(), stride, rows, in, operand);
  at::Tensor y = at::empty({rows, product.tiles() * kTile}), tile = at::empty({rows, kTile});
  for (int64_t n = 0; n < product.tiles(); ++n) {
    product.multiply(operand, 0, n, {tile.mutable_data_ptr<float>(), rows});
    y.narrow(1, n * kTile, kTile).copy_(tile);
  }
  return y.narrow(1, 0, out);
}

class PrecisionTest : public ::testing::TestWithParam<Precision> {
 protected:
  // How far a product of numbers up to 1 over a depth of n may be off.
  double tolerance(int64_t depth) const {
    const double per_number = GetParam() == Precision::kFp32   ? 1e-6
                              : GetParam() == Precision::kBf16 ? 4e-3
                                                               : 8e-3;
    return per_number * std::sqrt(static_cast<double>(depth)) + 1e-6;
  }
  at::Tensor encode(const std::vector<std::string_view>& some, int64_t batch_tokens = 384,
                    int threads = at::get_num_threads()) {
    at::set_num_threads(threads);
    Encoder encoder({tiny.folder(), 16}, Compute{.precision = GetParam()}, batch_tokens, nullptr,
                    context);
    return encoder.encode(some, {{key}, {}, false}).pooled.at(key);
  }

  moecollab::testing::TinyEncoder tiny;
  RunContext context;
  const PooledKey key{2, Pooling::kMean};
  const std::vector<std::string_view>& texts = moecollab::testing::TinyEncoder::kTexts;
};

TEST_P(PrecisionTest, APassContinuesWhereItStoppedToTheSameBits) {
  const at::Tensor whole = encode(texts);
  Encoder encoder({tiny.folder(), 16}, Compute{.precision = GetParam()}, 384, nullptr, context);
  const Features stopped = encoder.encode(texts, {{}, {}, false, 1});
  const std::vector<int64_t> rows = {0, 2, 5};
  EXPECT_TRUE(encoder.deepen(stopped, rows, {{key}, {}, false})
                  .pooled.at(key)
                  .equal(whole.index_select(0, index_tensor(rows))));
}

// Widths that are no multiple of a tile, nor of what one instruction takes.
TEST_P(PrecisionTest, ProductsOfAnyWidthEqualTheirDefinition) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  for (const auto& [rows, in, out] : {std::tuple(4, 64, 64), {64, 96, 192}, {8, 37, 65}}) {
    const at::Tensor x = at::rand({rows, in}, generator) * 2 - 1,
                     w = at::rand({out, in}, generator) * 2 - 1;
    const at::Tensor expected = x.to(at::kDouble).matmul(w.to(at::kDouble).t());
    const double off = (product_of(x, w, GetParam()) - expected).abs().max().item<double>();
    EXPECT_LT(off, tolerance(in)) << rows << " " << in << " " << out;
  }
}

// Sums of the greatest products there are: pairs of them, 2 · 255 · 127, do not fit in 16 bits.
TEST_P(PrecisionTest, ExtremeValuesDoNotSaturate) {
  constexpr int64_t kDepth = 1536;
  at::Tensor x = at::ones({4, kDepth});
  x.select(1, 0).fill_(0);  // so that 1 is 255 of 255
  for (const float sign : {1.0F, -1.0F}) {
    const at::Tensor w = at::full({64, kDepth}, sign);
    const at::Tensor y = product_of(x, w, GetParam());
    EXPECT_LT((y - sign * (kDepth - 1)).abs().max().item<double>(), 1.0) << sign;
  }
}

TEST_P(PrecisionTest, StatesStayNearTheDoublePrecisionReference) {
  Encoder encoder({tiny.folder(), 16}, Compute{.precision = GetParam()}, 384, nullptr, context);
  const Features f = encoder.encode(texts, {{key}, {}, true});
  for (int64_t row = 0; row < f.rows(); ++row) {
    const int32_t* ids = f.token_ids.const_data_ptr<int32_t>();
    const auto r = static_cast<size_t>(row);
    const at::Tensor expected =
        tiny.reference({ids + f.row_offsets[r], ids + f.row_offsets[r + 1]})[2].mean(0);
    const at::Tensor seen = f.pooled.at(key)[row].to(at::kDouble);
    const double cosine = (seen.dot(expected) / seen.norm() / expected.norm()).item<double>();
    EXPECT_GT(cosine, GetParam() == Precision::kFp32   ? 0.9999999
                      : GetParam() == Precision::kBf16 ? 0.999
                                                       : 0.98)
        << row;
  }
}

TEST_P(PrecisionTest, BitsDependNeitherOnTheBatchNorOnTheThreads) {
  const int threads = at::get_num_threads();
  const at::Tensor all = encode(texts);
  EXPECT_TRUE(encode(texts, 1).equal(all));
  EXPECT_TRUE(encode(texts, 12).equal(all));
  EXPECT_TRUE(encode(texts, 384, 1).equal(all));
  EXPECT_TRUE(encode(texts, 12, 3).equal(all));
  for (size_t i = 0; i < texts.size(); ++i)
    EXPECT_TRUE(encode({texts[i]})[0].equal(all[static_cast<int64_t>(i)])) << texts[i];
  at::set_num_threads(threads);
}

TEST_P(PrecisionTest, FeaturesThatAreNotFiniteAreRefused) {
  tiny.tensors()["encoder.layer.1.intermediate.dense.bias"][3] =
      std::numeric_limits<float>::quiet_NaN();
  tiny.write_weights();
  try {
    encode(texts);
    FAIL() << "nothing was refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_ENCODER");
    EXPECT_THAT(error.what(), ::testing::HasSubstr(name(GetParam())));
  }
}

TEST_P(PrecisionTest, ThreadsThatShareAPassGiveTheSameBits) {
  const Bert bert(open_encoder_folder(tiny.folder(), 16), GetParam());
  std::vector<int32_t> ids, lengths;
  for (int32_t text = 0; text < 20; ++text) {
    lengths.push_back(5 + text % 11);
    for (int32_t t = 0; t < lengths.back(); ++t) ids.push_back((7 * text + 3 * t) % 12);
  }
  const auto states_with = [&](int64_t threads) {
    std::vector<float> all;
    bert.forward(
        ids, lengths, {0, 1, 2},
        [&](int, const States& s) {
          for (size_t t = 0; t < ids.size(); ++t) {
            const float* row = s.values + static_cast<int64_t>(t) * s.stride;
            all.insert(all.end(), row, row + bert.config().hidden);
          }
        },
        threads);
    return all;
  };
  const std::vector<float> alone = states_with(1);
  for (const int64_t threads : {2, 3, 4, 100}) EXPECT_EQ(states_with(threads), alone) << threads;
}

// One instruction set and another differ in the last bits only.
TEST_P(PrecisionTest, KernelsOfEachInstructionSetAgree) {
  const EncoderFolder folder = open_encoder_folder(tiny.folder(), 16);
  const std::vector<int32_t> ids = {2, 7, 9, 8, 3, 2, 11, 3}, lengths = {5, 3};
  std::vector<float> first;
  for (const Kernels* kernels : usable_kernels()) {
    const Bert bert(folder, GetParam(), std::make_shared<SpareBuffers>(), *kernels);
    std::vector<float> states;
    bert.forward(ids, lengths, {2}, [&](int, const States& s) {
      for (int64_t t = 0; t < 8; ++t)
        states.insert(states.end(), s.values + t * s.stride, s.values + t * s.stride + 64);
    });
    if (first.empty()) first = states;
    for (size_t i = 0; i < states.size(); ++i)
      ASSERT_NEAR(states[i], first[i], GetParam() == Precision::kFp32 ? 1e-5 : 5e-2)
          << kernels->name;
  }
}

INSTANTIATE_TEST_SUITE_P(OfThisCpu, PrecisionTest, ::testing::ValuesIn(usable_precisions()),
                         [](const auto& precision) { return std::string(name(precision.param)); });

}  // namespace
}  // namespace moecollab::encoder
