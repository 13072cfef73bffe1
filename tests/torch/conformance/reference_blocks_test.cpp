// The plain loops that packages are tried with, held against the encoder.
#include "conformance/reference_blocks.h"

#include <gtest/gtest.h>

#include "encoder/encoder.h"
#include "experts/abi_views.h"
#include "torch/tiny_encoder.h"

namespace moecollab::conformance {
namespace {

using moecollab::testing::TinyEncoder;

TEST(ReferenceBlocks, GiveTheEncodersMeans) {
  TinyEncoder tiny;
  encoder::Encoder encoder({tiny.folder(), 32, {}}, Compute{}, 64, nullptr, {});
  const encoder::PooledKey last = {TinyEncoder::kLayers, encoder::Pooling::kMean};
  const encoder::Features f = encoder.encode(TinyEncoder::kTexts, {{last}, {0}, false});
  std::vector<std::string> names;
  std::vector<moec_string> name_views;
  std::vector<moec_tensor> weights;
  const std::string prefix = "encoder.layer.";
  for (const auto& [name, tensor] : tiny.tensors()) {
    if (!name.starts_with(prefix)) continue;
    names.push_back(name.substr(prefix.size()));
    weights.push_back(experts::to_abi(tensor));
  }
  for (const std::string& name : names) name_views.push_back({name.data(), name.size()});
  const ReferenceBlocks blocks(encoder.config(), TinyEncoder::kLayers, names.size(),
                               name_views.data(), weights.data());
  const at::Tensor states = f.hidden.at(0).contiguous();
  for (size_t i = 0; i + 1 < f.row_offsets.size(); ++i) {
    const int64_t first = f.row_offsets[i], tokens = f.row_offsets[i + 1] - first;
    const std::vector<float> mean =
        blocks.mean({states.const_data_ptr<float>() + first * TinyEncoder::kHidden,
                     static_cast<size_t>(tokens * TinyEncoder::kHidden)});
    const at::Tensor expected = f.pooled.at(last)[static_cast<int64_t>(i)];
    for (int64_t c = 0; c < TinyEncoder::kHidden; ++c)
      EXPECT_NEAR(mean[static_cast<size_t>(c)], expected[c].item<float>(), 1e-5) << i << ", " << c;
  }
}

}  // namespace
}  // namespace moecollab::conformance
