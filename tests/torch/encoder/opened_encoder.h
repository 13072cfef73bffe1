// The tiny encoder, opened as the tests of this folder need it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string_view>
#include <vector>

#include "encoder/encoder.h"
#include "torch/tiny_encoder.h"

namespace moecollab::encoder {

inline const std::vector<std::string_view>& kTexts = moecollab::testing::TinyEncoder::kTexts;

struct OpenedEncoder : ::testing::Test {
  Encoder open(int64_t batch_tokens = 2048, std::shared_ptr<FeatureCache> cache = nullptr) {
    return Encoder({tiny.folder(), 16}, Compute{}, batch_tokens, std::move(cache), context);
  }
  moecollab::testing::TinyEncoder tiny;
  RunContext context;
};

}  // namespace moecollab::encoder
