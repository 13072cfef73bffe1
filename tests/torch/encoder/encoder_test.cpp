#include "encoder/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "torch/encoder/opened_encoder.h"

namespace moecollab::encoder {
namespace {

using ::testing::HasSubstr;

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b).abs().max().item<double>();
}

template <typename Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was refused";
  return Error("", "");
}

struct EncoderTest : OpenedEncoder {
  const FeatureRequest everything{
      {{0, Pooling::kMean}, {1, Pooling::kCls}, {2, Pooling::kMean}}, {0, 1, 2}, true};
};

TEST_F(EncoderTest, HiddenStatesAndPoolingEqualTheDoublePrecisionReference) {
  const Features f = open().encode(kTexts, everything);
  for (int64_t row = 0; row < f.rows(); ++row) {
    const auto r = static_cast<size_t>(row);
    const int64_t first = f.row_offsets[r], length = f.row_offsets[r + 1] - first;
    const at::Tensor ids = f.token_ids.narrow(0, first, length);
    const int32_t* data = ids.const_data_ptr<int32_t>();
    const std::vector<at::Tensor> reference = tiny.reference({data, data + length});
    for (const int layer : {0, 1, 2}) {
      EXPECT_LT(max_difference(f.hidden.at(layer).narrow(0, first, length),
                               reference[static_cast<size_t>(layer)]),
                1e-5)
          << row << " layer " << layer;
    }
    EXPECT_LT(max_difference(f.pooled.at({2, Pooling::kMean})[row], reference[2].mean(0)), 1e-5);
    EXPECT_LT(max_difference(f.pooled.at({1, Pooling::kCls})[row], reference[1][0]), 1e-5);
  }
}

TEST_F(EncoderTest, StatesInBfloat16AreTheRoundedOnesAndAreHandedOutAsFloat32) {
  FeatureRequest narrow{{{2, Pooling::kMean}}, {0, 1}};
  Encoder encoder = open();
  const Features wide = encoder.encode(kTexts, narrow);
  narrow.bf16_states = true;
  const Features f = encoder.encode(kTexts, narrow);
  EXPECT_TRUE(f.pooled.at({2, Pooling::kMean}).equal(wide.pooled.at({2, Pooling::kMean})));
  const std::vector<int64_t> rows = {4, 0};
  for (const int layer : {0, 1}) {
    const auto rounded = [&](const Features& of) { return of.hidden.at(layer).to(at::kBFloat16); };
    EXPECT_TRUE(f.hidden.at(layer).equal(rounded(wide))) << layer;
    const at::Tensor chosen = f.select(rows).hidden.at(layer),
                     some = f.slice(2, 3).hidden.at(layer);
    ASSERT_EQ(chosen.scalar_type(), at::kFloat);
    ASSERT_EQ(some.scalar_type(), at::kFloat);
    EXPECT_TRUE(chosen.equal(rounded(wide.select(rows)).to(at::kFloat)));
    EXPECT_TRUE(some.equal(rounded(wide.slice(2, 3)).to(at::kFloat)));
  }
}

TEST(FeatureRequest, StatesAreBfloat16IfAllWhoReadThemSaySo) {
  const FeatureRequest none{{{2, Pooling::kMean}}, {}}, wide{{}, {1}},
      narrow{.pooled = {}, .hidden = {2}, .bf16_states = true};
  const auto merged = [](FeatureRequest a, const FeatureRequest& b) {
    a.merge(b);
    return a.bf16_states;
  };
  EXPECT_TRUE(merged(none, narrow));
  EXPECT_TRUE(merged(narrow, none));
  EXPECT_TRUE(merged(narrow, narrow));
  EXPECT_FALSE(merged(narrow, wide));
  EXPECT_FALSE(merged(wide, narrow));
  EXPECT_FALSE(merged(none, wide));
}

TEST_F(EncoderTest, OrderBatchingAndCompanyChangeNothing) {
  Encoder encoder = open();
  const FeatureRequest request{{{2, Pooling::kMean}}, {}, false};
  const at::Tensor all = encoder.encode(kTexts, request).pooled.at({2, Pooling::kMean});
  const at::Tensor small = open(8).encode(kTexts, request).pooled.at({2, Pooling::kMean});
  EXPECT_LT(max_difference(small, all.to(at::kDouble)), 1e-5);
  std::vector<std::string_view> reversed(kTexts.rbegin(), kTexts.rend());
  EXPECT_LT(max_difference(encoder.encode(reversed, request).pooled.at({2, Pooling::kMean}).flip(0),
                           all.to(at::kDouble)),
            1e-5);
  for (size_t i = 0; i < kTexts.size(); ++i) {
    const at::Tensor alone =
        encoder.encode(std::span(kTexts).subspan(i, 1), request).pooled.at({2, Pooling::kMean});
    EXPECT_LT(max_difference(alone[0], all[static_cast<int64_t>(i)].to(at::kDouble)), 1e-5) << i;
  }
}

TEST_F(EncoderTest, APassContinuesWhereItStoppedToTheSameBits) {
  const std::vector<int64_t> rows = {1, 3, 6};
  const auto n = static_cast<int64_t>(kTexts.size());
  const Features whole = open().encode(kTexts, everything).select(rows);
  for (const int layer : {0, 1, 2}) {
    Encoder encoder = open(8);
    FeatureRequest first = everything.up_to(layer);
    first.stop_at = layer;
    const Features stopped = encoder.encode(kTexts, first);
    EXPECT_EQ(encoder.counters().blocks, n * layer);
    const Features deeper = encoder.deepen(stopped, rows, everything);
    EXPECT_EQ(encoder.counters().blocks, n * layer + 3 * (2 - layer)) << layer;
    EXPECT_EQ(encoder.counters().forwards, n);
    EXPECT_EQ(deeper.texts, whole.texts);
    EXPECT_EQ(deeper.row_ids, whole.row_ids);
    EXPECT_EQ(deeper.row_offsets, whole.row_offsets);
    EXPECT_TRUE(deeper.token_ids.equal(whole.token_ids));
    for (const auto& [key, pooled] : whole.pooled)
      EXPECT_TRUE(deeper.pooled.at(key).equal(pooled)) << layer << " pooled " << key.layer;
    for (const auto& [hidden, states] : whole.hidden)
      EXPECT_TRUE(deeper.hidden.at(hidden).equal(states)) << layer << " hidden " << hidden;
  }
}

TEST_F(EncoderTest, APassCanStopTwice) {
  Encoder encoder = open();
  const PooledKey last{2, Pooling::kMean};
  const Features one = encoder.encode(kTexts, {{}, {}, false, 0});
  const Features two = encoder.deepen(one, std::vector<int64_t>{0, 3, 5}, {{}, {}, false, 1});
  const Features three = encoder.deepen(two, std::vector<int64_t>{1}, {{last}, {}, false});
  EXPECT_EQ(encoder.counters().blocks, 3 + 1);
  EXPECT_TRUE(three.pooled.at(last).equal(
      encoder.encode(std::span(kTexts).subspan(3, 1), {{last}, {}, false}).pooled.at(last)));
}

TEST_F(EncoderTest, PrefixBertAndOldNormNamesAreAccepted) {
  const FeatureRequest request{{{2, Pooling::kMean}}, {}, false};
  const at::Tensor before = open().encode(kTexts, request).pooled.at({2, Pooling::kMean});
  auto& tensors = tiny.tensors();
  tensors["embeddings.LayerNorm.gamma"] = tensors["embeddings.LayerNorm.weight"];
  tensors.erase("embeddings.LayerNorm.weight");
  tensors["pooler.dense.weight"] = at::zeros({64, 64});
  tiny.write_weights("bert.");
  const at::Tensor after = open().encode(kTexts, request).pooled.at({2, Pooling::kMean});
  EXPECT_TRUE(after.equal(before));
}

TEST_F(EncoderTest, AHeadBesideTheBertIsLeftOut) {
  const FeatureRequest request{{{2, Pooling::kMean}}, {}, false};
  const at::Tensor before = open().encode(kTexts, request).pooled.at({2, Pooling::kMean});
  auto& tensors = tiny.tensors();
  tensors["qa_outputs.weight"] = at::zeros({2, 64});
  tiny.write_weights();
  EXPECT_TRUE(open().encode(kTexts, request).pooled.at({2, Pooling::kMean}).equal(before));
  // Beside "bert.…" any other name is a head's.
  std::map<std::string, at::Tensor> prefixed = {{"score.weight", at::zeros({2, 64})}};
  for (const auto& [name, tensor] : tensors) prefixed["bert." + name] = tensor;
  tensors = prefixed;
  tiny.write_weights();
  EXPECT_TRUE(open().encode(kTexts, request).pooled.at({2, Pooling::kMean}).equal(before));
  tensors["embeddings.LayerNorm.weight"] = at::zeros({64});
  tiny.write_weights();
  Encoder encoder = open();
  EXPECT_THAT(error_of([&] { encoder.load(); }).what(), HasSubstr("LayerNorm.weight is unknown or "
                                                                  "stands twice"));
}

TEST_F(EncoderTest, ShardsGiveTheBitsOfOneFile) {
  const FeatureRequest request{{{2, Pooling::kMean}}, {}, false};
  const at::Tensor before = open().encode(kTexts, request).pooled.at({2, Pooling::kMean});
  const std::string whole = fingerprint({tiny.folder(), 16});
  tiny.write_shards();
  const std::string shards = fingerprint({tiny.folder(), 16});
  EXPECT_NE(shards, whole);
  EXPECT_TRUE(open().encode(kTexts, request).pooled.at({2, Pooling::kMean}).equal(before));
  tiny.tensors()["embeddings.LayerNorm.bias"][0] += 1e-3;
  tiny.write_shards();
  EXPECT_NE(fingerprint({tiny.folder(), 16}), shards);
  fs::remove(tiny.folder() / "model-2.safetensors");
  const Error error = error_of([&] { open(); });
  EXPECT_EQ(error.code(), "E_ST_INDEX");
  EXPECT_THAT(error.what(), HasSubstr("lies in model-2.safetensors, which is missing"));
}

// The folder as transformers 5 saves it, and as sentence-transformers 0.3 laid it out.
TEST_F(EncoderTest, OtherLayoutsOfTheSameFilesAreTheSameEncoder) {
  const FeatureRequest request{{{2, Pooling::kMean}}, {}, false};
  const at::Tensor before = open().encode(kTexts, request).pooled.at({2, Pooling::kMean});
  const std::string plain = fingerprint({tiny.folder(), 16});
  tiny.write_tokenizer_json();
  fs::remove(tiny.folder() / "vocab.txt");
  EXPECT_EQ(fingerprint({tiny.folder(), 16}), plain);
  EXPECT_TRUE(open().encode(kTexts, request).pooled.at({2, Pooling::kMean}).equal(before));
  const TemporaryFolder outer;
  fs::copy(tiny.folder(), outer.path() / "0_Transformer");
  write_file_atomic(
      outer.path() / "modules.json",
      R"([{"type": "sentence_transformers.models.Transformer", "path": "0_Transformer"}])");
  Encoder nested({outer.path(), 16}, Compute{}, 2048, nullptr, context);
  EXPECT_EQ(nested.fingerprint(), plain);
  EXPECT_TRUE(nested.encode(kTexts, request).pooled.at({2, Pooling::kMean}).equal(before));
  EXPECT_NE(nested.weight("embeddings.LayerNorm.bias"), nullptr);
}

TEST_F(EncoderTest, R37_EveryWrongTensorIsListed) {
  auto& tensors = tiny.tensors();
  tensors.erase("encoder.layer.1.output.dense.bias");
  tensors["encoder.layer.0.attention.self.query.weight"] = at::zeros({64, 63});
  tensors["something.else"] = at::zeros({1});
  tiny.write_weights();
  Encoder encoder = open();
  const Error error = error_of([&] { encoder.load(); });
  EXPECT_EQ(error.code(), "E_ENCODER");
  EXPECT_THAT(error.what(), HasSubstr("encoder.layer.1.output.dense.bias is missing"));
  EXPECT_THAT(error.what(), HasSubstr("query.weight is [64, 63], expected [64, 64]"));
  EXPECT_THAT(error.what(), HasSubstr("something.else is unknown"));
}

TEST_F(EncoderTest, EachMissingFileIsNamed) {
  for (const char* name : {"config.json", "vocab.txt", "model.safetensors"}) {
    SCOPED_TRACE(name);
    moecollab::testing::TinyEncoder broken;
    fs::remove(broken.folder() / name);
    const Error error = error_of([&] {
      Encoder({broken.folder(), 16}, Compute{}, 64, nullptr, context).load();
    });
    EXPECT_THAT(error.what(), HasSubstr(name));
    EXPECT_EQ(exit_status(error.code()), 4) << error.code();
  }
}

TEST_F(EncoderTest, TruncatedWeightsAreRefused) {
  const fs::path file = tiny.folder() / "model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 10);
  Encoder encoder = open();
  EXPECT_EQ(error_of([&] { encoder.load(); }).code(), "E_ST_METADATA_INCOMPLETE_BUFFER");
}

TEST_F(EncoderTest, UnsupportedConfigsNameKeyAndValue) {
  const std::vector<std::pair<std::string, Json>> cases = {
      {"position_embedding_type", "relative_key"},
      {"is_decoder", true},
      {"hidden_act", "quick_gelu"},
      {"num_attention_heads", 7},
      {"hidden_size", -64},
      {"model_type", "roberta"}};
  for (const auto& [key, value] : cases) {
    moecollab::testing::TinyEncoder other;
    other.config[key] = value;
    other.write_config();
    const Error error = error_of([&] { read_bert_config(other.folder()); });
    EXPECT_EQ(error.code(), "E_ENCODER") << key;
    EXPECT_THAT(error.what(), HasSubstr("`" + key + "`"));
  }
}

TEST_F(EncoderTest, VocabularyOfAnotherSizeIsRefused) {
  std::ofstream(tiny.folder() / "vocab.txt", std::ios::app) << "extra\n";
  const Error error = error_of([&] { open(); });
  EXPECT_EQ(error.code(), "E_VOCAB");
  EXPECT_THAT(error.what(), HasSubstr("21 tokens"));
  EXPECT_THAT(error.what(), HasSubstr("vocab_size 20"));
}

TEST_F(EncoderTest, MaxLengthBeyondThePositionsIsRefused) {
  EXPECT_EQ(error_of([&] {
              Encoder({tiny.folder(), 41}, Compute{}, 64, nullptr, context);
            }).code(),
            "E_CONFIG");
}

TEST_F(EncoderTest, WithoutAMaxLengthThePositionsBoundIt) {
  const Encoder encoder({tiny.folder(), std::nullopt}, Compute{}, 64, nullptr, context);
  EXPECT_EQ(encoder.max_length(), 40);
  EXPECT_THAT(encoder.notes(),
              ::testing::ElementsAre(HasSubstr("cut at 40 tokens instead of 256")));
  EXPECT_EQ(encoder.fingerprint(), fingerprint({tiny.folder(), 40}));
}

TEST_F(EncoderTest, FingerprintFollowsContent) {
  const std::string before = fingerprint({tiny.folder(), 16});
  EXPECT_EQ(fingerprint({tiny.folder(), 16}), before);
  EXPECT_NE(fingerprint({tiny.folder(), 17}), before);
  EXPECT_NE(fingerprint({tiny.folder(), 16, text::SpecialTokens::kLiteral}), before);
  tiny.tensors()["embeddings.LayerNorm.bias"][0] += 1e-3;
  tiny.write_weights();
  EXPECT_NE(fingerprint({tiny.folder(), 16}), before);
}

TEST_F(EncoderTest, TruncationIsCounted) {
  Encoder encoder({tiny.folder(), 4}, Compute{}, 64, nullptr, context);
  const TextLengths lengths = encoder.lengths(kTexts);
  EXPECT_EQ(lengths.truncated, 3);  // of 6, 5 and 3 words: more than [CLS] + 2 + [SEP]
  EXPECT_EQ(lengths.tokens.size(), kTexts.size());
  EXPECT_EQ(*std::max_element(lengths.tokens.begin(), lengths.tokens.end()), 4);
}

// tests/golden/encoder.json holds what `transformers` gives for the real encoder
// (tools/golden_encoder.py).
TEST(RealEncoder, PooledFeaturesEqualThoseOfTransformers) {
  const char* set = std::getenv("MOECOLLAB_ENCODER");
  const fs::path folder = set != nullptr
                              ? fs::path(set)
                              : fs::path(MOECOLLAB_SOURCE_DIR) / ".deps/encoder/all-MiniLM-L6-v2";
  const Json golden =
      parse_json(read_file(fs::path(MOECOLLAB_SOURCE_DIR) / "tests/golden/encoder.json", "E_TEST"));
  const auto texts = golden["texts"].get<std::vector<std::string>>();
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  Encoder encoder({folder, golden["max_length"].get<int>()}, Compute{}, 2048, nullptr, {});
  const PooledKey key{6, Pooling::kMean};
  const at::Tensor pooled = encoder.encode(views, {{key}, {}, false}).pooled.at(key);
  double worst = 0, least_cosine = 1;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto row = golden["pooled"][i].get<std::vector<double>>();
    const at::Tensor expected = at::tensor(at::ArrayRef<double>(row), at::kDouble),
                     seen = pooled[static_cast<int64_t>(i)].to(at::kDouble);
    worst = std::max(worst, max_difference(seen, expected));
    least_cosine =
        std::min(least_cosine, (seen.dot(expected) / seen.norm() / expected.norm()).item<double>());
  }
  RecordProperty("worst_difference", fmt::format("{:.3g}", worst));
  EXPECT_LE(worst, 1e-4);
  EXPECT_GE(least_cosine, 0.99999);
}

}  // namespace
}  // namespace moecollab::encoder
