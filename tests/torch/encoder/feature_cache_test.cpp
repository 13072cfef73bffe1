#include "encoder/feature_cache.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "torch/encoder/opened_encoder.h"

namespace moecollab::encoder {
namespace {

struct CacheTest : OpenedEncoder {
  std::shared_ptr<FeatureCache> cache(const std::string& engine = "one",
                                      uint64_t capacity = 1 << 30) {
    return std::make_shared<FeatureCache>(folder.path() / "cache", engine, context.log, capacity);
  }
  fs::path only_file() {
    fs::path found;
    for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
      if (entry.is_regular_file()) found = entry.path();
    }
    return found;
  }
  TemporaryFolder folder;
  const FeatureRequest request{{{2, Pooling::kMean}}, {}, false};
};

TEST_F(CacheTest, SecondRunNeedsNoForward) {
  Encoder first = open(2048, cache());
  const at::Tensor computed = first.encode(kTexts, request).pooled.at({2, Pooling::kMean});
  EXPECT_EQ(first.counters().forwards, 7);
  Encoder second = open(2048, cache());
  const at::Tensor cached = second.encode(kTexts, request).pooled.at({2, Pooling::kMean});
  EXPECT_EQ(second.counters().forwards, 0);
  EXPECT_EQ(second.counters().cache_hits, 7);
  EXPECT_TRUE(cached.equal(computed));
}

TEST_F(CacheTest, AnotherEngineLayerPoolingLengthOrTextRecomputes) {
  open(2048, cache()).encode(kTexts, request);
  const auto forwards = [&](Encoder encoder, const std::vector<std::string_view>& texts,
                            const FeatureRequest& wanted) {
    encoder.encode(texts, wanted);
    return encoder.counters().forwards;
  };
  EXPECT_EQ(forwards(open(2048, cache("two")), kTexts, request), 7);
  EXPECT_EQ(forwards(open(2048, cache()), kTexts, {{{1, Pooling::kMean}}, {}, false}), 7);
  EXPECT_EQ(forwards(open(2048, cache()), kTexts, {{{2, Pooling::kCls}}, {}, false}), 7);
  EXPECT_EQ(
      forwards(Encoder({tiny.folder(), 15}, Compute{}, 64, cache(), context), kTexts, request), 7);
  EXPECT_EQ(forwards(open(2048, cache()), {"the film", "a new court"}, request), 1);
}

// The cache has all that is pooled, or lacks one text's.
TEST_F(CacheTest, BlocksAboveTheStatesRunOnlyIfPooledFeaturesAreMissing) {
  const FeatureRequest both{{{2, Pooling::kMean}}, {1}};
  Encoder first = open(2048, cache());
  const Features fresh = first.encode(kTexts, both);
  EXPECT_EQ(first.counters().blocks, 7 * 2);
  Encoder second = open(2048, cache());
  const Features again = second.encode(kTexts, both);
  EXPECT_EQ(second.counters().blocks, 7 * 1);
  EXPECT_EQ(second.counters().forwards, 7) << "the states are not cached";
  for (const Features* f : {&fresh, &again}) {
    EXPECT_TRUE(f->hidden.at(1).equal(open().encode(kTexts, both).hidden.at(1)));
    EXPECT_TRUE(f->pooled.at({2, Pooling::kMean})
                    .equal(open().encode(kTexts, request).pooled.at({2, Pooling::kMean})));
  }
  // What the pass gave beside the states is there for who reads that alone.
  EXPECT_EQ(second.encode(kTexts, request).rows(), 7);
  EXPECT_EQ(second.counters().blocks, 7 * 1);
  second.encode(std::vector<std::string_view>{"the film", "a new court"}, both);
  EXPECT_EQ(second.counters().blocks, 7 * 1 + 2 * 2);
}

TEST_F(CacheTest, TheFirstRowOfATextCounts) {
  const PooledKey key{2, Pooling::kMean};
  const auto rows = [](const std::vector<float>& values) {
    return at::tensor(values).view({-1, 2});
  };
  const std::vector<std::string_view> first = {"a", "b"}, second = {"b", "c", "c"};
  auto one = cache();
  EXPECT_TRUE(one->settle("f", key, first, rows({1, 2, 3, 4})).equal(rows({1, 2, 3, 4})));
  // b is there already; c stands twice, and its first row counts.
  const at::Tensor settled = rows({3, 4, 5, 6, 5, 6});
  EXPECT_TRUE(one->settle("f", key, second, rows({9, 9, 5, 6, 7, 8})).equal(settled));
  EXPECT_TRUE(cache()->settle("f", key, second, at::zeros({3, 2})).equal(settled));
}

// Without states to continue from, a pass begins with the tokens; it is still one pass.
TEST_F(CacheTest, WhatWasCachedIsEncodedFromTheTokensIfItMustGoDeeper) {
  const PooledKey early{0, Pooling::kMean}, last{2, Pooling::kMean};
  const auto n = static_cast<int64_t>(kTexts.size());
  open(2048, cache()).encode(std::span(kTexts).first(2), {{early}, {}, false});
  Encoder encoder = open(2048, cache());
  const Features stopped = encoder.encode(kTexts, {{early}, {}, false, 0});
  EXPECT_EQ(encoder.counters().cache_hits, 2);
  const std::vector<int64_t> rows = {0, 3};
  const Features deeper = encoder.deepen(stopped, rows, {{early, last}, {}, false});
  EXPECT_EQ(encoder.counters().cache_hits, 1);
  EXPECT_EQ(encoder.counters().forwards, n - 1);
  EXPECT_EQ(encoder.counters().blocks, 2 + 2);
  const Features whole = open().encode(kTexts, {{early, last}, {}, false}).select(rows);
  EXPECT_TRUE(deeper.pooled.at(early).equal(whole.pooled.at(early)));
  EXPECT_TRUE(deeper.pooled.at(last).equal(whole.pooled.at(last)));
  const Features again = encoder.deepen(stopped, rows, {{early, last}, {}, false});
  EXPECT_EQ(encoder.counters().blocks, 2 + 2) << "cached";
  EXPECT_TRUE(again.pooled.at(last).equal(whole.pooled.at(last)));
}

TEST_F(CacheTest, EveryDamagedByteIsNoticedAndRebuilt) {
  const at::Tensor computed =
      open(2048, cache()).encode(kTexts, request).pooled.at({2, Pooling::kMean});
  const fs::path file = only_file();
  const std::string good = read_file(file, "E_TEST");
  for (size_t at = 0; at < good.size(); at += 97) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    write_file_atomic(file, bad);
    const at::Tensor again =
        open(2048, cache()).encode(kTexts, request).pooled.at({2, Pooling::kMean});
    ASSERT_TRUE(again.equal(computed)) << "byte " << at;
    write_file_atomic(file, good);
  }
}

TEST_F(CacheTest, SizeIsBounded) {
  auto bounded = cache("one", 4000);
  for (const std::string_view text : kTexts) {
    const std::vector<std::string_view> one = {text};
    open(2048, bounded).encode(one, request);
  }
  uint64_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    if (entry.is_regular_file()) total += entry.file_size();
  }
  EXPECT_LE(total, 4000U);
  EXPECT_GT(total, 0U);
}

}  // namespace
}  // namespace moecollab::encoder
