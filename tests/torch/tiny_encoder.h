// A tiny random BERT on disk (2 layers, H 64), and a plain double-precision forward pass to compare
// with.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "weights/writer.h"

namespace moecollab::testing {

class TinyEncoder {
 public:
  static constexpr int64_t kHidden = 64, kLayers = 2, kHeads = 4, kIntermediate = 96,
                           kPositions = 40;

  // Texts of several lengths, in words of its vocabulary but for the last.
  inline static const std::vector<std::string_view> kTexts = {"the film",
                                                              "a very good match of the play",
                                                              "not bad",
                                                              "the court rule of the song",
                                                              "pain drug pain",
                                                              "good film",
                                                              "zzz"};

  TinyEncoder() {
    write_vocabulary();
    write_config();
    make_tensors();
    write_weights();
  }
  const fs::path& folder() const { return folder_.path(); }
  std::map<std::string, at::Tensor>& tensors() { return tensors_; }

  Json config = {{"model_type", "bert"},
                 {"hidden_size", kHidden},
                 {"num_hidden_layers", kLayers},
                 {"num_attention_heads", kHeads},
                 {"intermediate_size", kIntermediate},
                 {"max_position_embeddings", kPositions},
                 {"type_vocab_size", 2},
                 {"layer_norm_eps", 1e-12},
                 {"hidden_act", "gelu"}};

  void write_config() {
    config["vocab_size"] = kWords.size();
    write_file_atomic(folder() / "config.json", to_text(config));
  }
  void write_weights(const std::string& prefix = "") const {
    std::vector<weights::TensorSource> sources;
    for (const auto& [name, tensor] : tensors_) sources.push_back(source_of(prefix + name, tensor));
    weights::write_safetensors(folder() / "model.safetensors", sources);
  }
  // In place of model.safetensors: two files with every other tensor, and their index.
  void write_shards() const {
    Json index;
    std::array<std::vector<weights::TensorSource>, 2> sources;
    for (const auto& [name, tensor] : tensors_) {
      const size_t shard = index["weight_map"].size() % 2;
      sources[shard].push_back(source_of(name, tensor));
      index["weight_map"][name] = fmt::format("model-{}.safetensors", shard + 1);
    }
    for (size_t shard : {0, 1}) {
      weights::write_safetensors(folder() / fmt::format("model-{}.safetensors", shard + 1),
                                 sources[shard]);
    }
    write_file_atomic(folder() / "model.safetensors.index.json", to_text(index));
    fs::remove(folder() / "model.safetensors");
  }
  // With the same vocabulary as vocab.txt.
  void write_tokenizer_json() const {
    Json vocabulary;
    for (size_t id = 0; id < kWords.size(); ++id) vocabulary[kWords[id]] = id;
    const Json special = Json::array({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"});
    Json added = Json::array();
    for (const Json& token : special) {
      added.push_back({{"id", added.size()},
                       {"content", token},
                       {"special", true},
                       {"normalized", false},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false}});
    }
    write_file_atomic(folder() / "tokenizer.json",
                      to_text({{"added_tokens", added},
                               {"normalizer",
                                {{"type", "BertNormalizer"},
                                 {"clean_text", true},
                                 {"handle_chinese_chars", true},
                                 {"strip_accents", nullptr},
                                 {"lowercase", true}}},
                               {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                               {"post_processor", {{"type", "BertProcessing"}}},
                               {"model",
                                {{"type", "WordPiece"},
                                 {"unk_token", "[UNK]"},
                                 {"continuing_subword_prefix", "##"},
                                 {"max_input_chars_per_word", 100},
                                 {"vocab", vocabulary}}}}));
  }

  // All hidden states [layers + 1] of one sequence, [length, H] double: modeling_bert.py to the
  // letter.
  std::vector<at::Tensor> reference(const std::vector<int32_t>& ids) const {
    const auto t = [&](const std::string& name) { return tensors_.at(name).to(at::kDouble); };
    const auto linear = [&](const at::Tensor& x, const std::string& name) {
      return x.matmul(t(name + ".weight").t()) + t(name + ".bias");
    };
    const auto norm = [&](const at::Tensor& x, const std::string& name) {
      const at::Tensor centred = x - x.mean(-1, true);
      return centred / (centred.pow(2).mean(-1, true) + 1e-12).sqrt() * t(name + ".weight") +
             t(name + ".bias");
    };
    const auto n = static_cast<int64_t>(ids.size());
    const at::Tensor index = at::tensor(at::ArrayRef<int32_t>(ids)).to(at::kLong);
    at::Tensor x = norm(t("embeddings.word_embeddings.weight").index_select(0, index) +
                            t("embeddings.token_type_embeddings.weight")[0] +
                            t("embeddings.position_embeddings.weight").narrow(0, 0, n),
                        "embeddings.LayerNorm");
    std::vector<at::Tensor> states = {x};
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string p = fmt::format("encoder.layer.{}.", layer);
      const int64_t width = kHidden / kHeads;
      at::Tensor context = at::zeros({n, kHidden}, at::kDouble);
      const at::Tensor q = linear(x, p + "attention.self.query"),
                       k = linear(x, p + "attention.self.key"),
                       v = linear(x, p + "attention.self.value");
      for (int64_t head = 0; head < kHeads; ++head) {
        const auto part = [&](const at::Tensor& y) { return y.narrow(1, head * width, width); };
        const at::Tensor scores =
            part(q).matmul(part(k).t()) / std::sqrt(static_cast<double>(width));
        context.narrow(1, head * width, width).copy_(scores.softmax(-1).matmul(part(v)));
      }
      x = norm(linear(context, p + "attention.output.dense") + x, p + "attention.output.LayerNorm");
      const at::Tensor inner = linear(x, p + "intermediate.dense");
      const at::Tensor gelu = inner * 0.5 * (1 + at::erf(inner / std::sqrt(2.0)));
      x = norm(linear(gelu, p + "output.dense") + x, p + "output.LayerNorm");
      states.push_back(x);
    }
    return states;
  }

 private:
  static weights::TensorSource source_of(const std::string& name, const at::Tensor& tensor) {
    return weights::f32_source(
        name, tensor.sizes().vec(),
        {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())});
  }
  void write_vocabulary() {
    std::string text;
    for (const char* word : kWords) text += std::string(word) + "\n";
    write_file_atomic(folder() / "vocab.txt", text);
    write_file_atomic(folder() / "tokenizer_config.json",
                      R"({"do_lower_case": true, "tokenizer_class": "BertTokenizer"})");
  }
  void make_tensors() {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
    const auto random = [&](at::IntArrayRef shape) {
      return at::randn(shape, generator, at::kFloat) * 0.15;
    };
    const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
      tensors_[name + ".weight"] = random({out, in});
      tensors_[name + ".bias"] = random({out});
    };
    const auto norm = [&](const std::string& name) {
      tensors_[name + ".weight"] = random({kHidden}) + 1.0;
      tensors_[name + ".bias"] = random({kHidden});
    };
    tensors_["embeddings.word_embeddings.weight"] =
        random({static_cast<int64_t>(kWords.size()), kHidden});
    tensors_["embeddings.position_embeddings.weight"] = random({kPositions, kHidden});
    tensors_["embeddings.token_type_embeddings.weight"] = random({2, kHidden});
    norm("embeddings.LayerNorm");
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string p = fmt::format("encoder.layer.{}.", layer);
      for (const char* part : {"query", "key", "value"})
        linear(p + "attention.self." + part, kHidden, kHidden);
      linear(p + "attention.output.dense", kHidden, kHidden);
      norm(p + "attention.output.LayerNorm");
      linear(p + "intermediate.dense", kIntermediate, kHidden);
      linear(p + "output.dense", kHidden, kIntermediate);
      norm(p + "output.LayerNorm");
    }
  }

  static constexpr std::array kWords = {
      "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad",  "film", "court", "the",
      "a",     "of",    "match", "rule",  "play",   "song", "pain", "drug", "not",   "very"};
  TemporaryFolder folder_{"tiny-encoder"};
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace moecollab::testing
