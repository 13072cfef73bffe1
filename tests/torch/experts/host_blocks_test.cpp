// moecollab.draft.blocks/1 as a library sees it.
#include "experts/host_blocks.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experts/abi_views.h"
#include "experts/host_services.h"
#include "torch/tiny_encoder.h"

namespace moecollab::experts {
namespace {

using moecollab::testing::TinyEncoder;
using ::testing::HasSubstr;

struct HostBlocksTest : ::testing::Test {
  HostBlocksTest() {
    setup.encoder_weights = &encoder;
    services.emplace(setup);
    host = &services->table();
    blocks = static_cast<const moec_ext_blocks*>(host->get_extension(host, MOEC_EXT_BLOCKS));
  }

  // The encoder's blocks from `first` on, as the expert's own.
  std::map<std::string, at::Tensor> weights_from(int64_t first) {
    std::map<std::string, at::Tensor> weights;
    for (const auto& [name, tensor] : tiny.tensors()) {
      for (int64_t i = first; i < TinyEncoder::kLayers; ++i) {
        const std::string prefix = fmt::format("encoder.layer.{}.", i);
        if (name.starts_with(prefix))
          weights[fmt::format("{}.{}", i - first, name.substr(prefix.size()))] = tensor;
      }
    }
    return weights;
  }

  moec_blocks* pack(uint64_t count, const std::map<std::string, at::Tensor>& weights) {
    std::vector<moec_string> names;
    std::vector<moec_tensor> views;
    for (const auto& [name, tensor] : weights) {
      names.push_back(to_abi(name));
      views.push_back(to_abi(tensor));
    }
    moec_blocks* packed = nullptr;
    status = blocks->pack(host, count, names.size(), names.data(), views.data(), &packed, &error);
    return packed;
  }

  at::Tensor means(const moec_blocks* packed, const at::Tensor& states,
                   const std::vector<int32_t>& offsets) {
    at::Tensor out = at::zeros({std::ssize(offsets) - 1, states.size(1)});
    const moec_tensor in_view = to_abi(states), out_view = to_abi(out);
    status = blocks->means(host, packed, &in_view, offsets.data(), offsets.size() - 1, &out_view,
                           &error);
    return out;
  }

  TinyEncoder tiny;
  encoder::Encoder encoder{{tiny.folder(), 32, {}}, Compute{}, 64, nullptr, {}};
  ExpertSetup setup;
  std::optional<HostServices> services;
  const moec_host* host = nullptr;
  const moec_ext_blocks* blocks = nullptr;
  moec_status status = MOEC_OK;
  moec_error error{sizeof(moec_error), MOEC_OK, ""};
};

TEST_F(HostBlocksTest, TheEncodersOwnBlocksGiveItsOwnMeans) {
  const encoder::FeatureRequest request{{{2, encoder::Pooling::kMean}}, {0, 1}, false};
  const encoder::Features f = encoder.encode(TinyEncoder::kTexts, request);
  for (const int first : {0, 1}) {
    moec_blocks* packed = pack(static_cast<uint64_t>(2 - first), weights_from(first));
    ASSERT_EQ(status, MOEC_OK) << error.message;
    const at::Tensor seen = means(packed, f.hidden.at(first), f.row_offsets);
    EXPECT_TRUE(seen.equal(f.pooled.at({2, encoder::Pooling::kMean}))) << first;
    blocks->release(host, packed);
  }
}

TEST_F(HostBlocksTest, ATextsBitsDependNeitherOnOthersNorOnThreads) {
  const encoder::Features f = encoder.encode(TinyEncoder::kTexts, {{}, {0}, false});
  moec_blocks* packed = pack(2, weights_from(0));
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor all = means(packed, f.hidden.at(0), f.row_offsets);
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    EXPECT_TRUE(means(packed, f.hidden.at(0), f.row_offsets).equal(all)) << count;
    for (size_t i = 0; i + 1 < f.row_offsets.size(); ++i) {
      const int32_t begin = f.row_offsets[i], length = f.row_offsets[i + 1] - begin;
      const at::Tensor lone = f.hidden.at(0).narrow(0, begin, length);
      EXPECT_TRUE(means(packed, lone, {0, length})[0].equal(all[static_cast<int64_t>(i)])) << i;
    }
  }
  at::set_num_threads(threads);
  blocks->release(host, packed);
}

TEST_F(HostBlocksTest, RefusalsNameTheWeightOrTheText) {
  std::map<std::string, at::Tensor> weights = weights_from(0);
  weights["1.output.dense.weight"] = at::zeros({64, 64});
  EXPECT_EQ(pack(2, weights), nullptr);
  EXPECT_EQ(status, MOEC_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message, "1.output.dense.weight is [64, 64], expected plain float32 [64, 96]");
  weights.erase("1.output.dense.weight");
  EXPECT_EQ(pack(2, weights), nullptr);
  EXPECT_STREQ(error.message, "1.output.dense.weight is missing");
  moec_blocks* packed = pack(1, weights);
  ASSERT_EQ(status, MOEC_OK);

  const at::Tensor states = at::zeros({5, 64});
  means(packed, states, {0, 3, 3});
  EXPECT_EQ(status, MOEC_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message, "text 1 owns rows 3 to 3: one at least");
  means(packed, states, {0, 3, 6});
  EXPECT_STREQ(error.message, "states is not plain float32 of 6 rows of 64");
  means(packed, at::zeros({5, 32}), {0, 3, 5});
  EXPECT_EQ(status, MOEC_INVALID_ARGUMENT);
  means(packed, states, {0});
  EXPECT_EQ(status, MOEC_OK) << "no texts are no error";
  blocks->release(host, packed);
  blocks->release(host, nullptr);
}

TEST(HostBlocksWithoutAnEncoder, AreNotOffered) {
  const HostServices services{ExpertSetup()};
  EXPECT_EQ(services.table().get_extension(&services.table(), MOEC_EXT_BLOCKS), nullptr);
}

}  // namespace
}  // namespace moecollab::experts
