#include "encoder/encoder.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "text/batching.h"

namespace moecollab::encoder {
namespace {

constexpr size_t kSettledTogether = 4096;  // texts: what a killed run encodes again at most

std::string fingerprint_of(const EncoderFolder& folder, const text::Tokenizer& tokenizer) {
  const BertConfig& c = folder.config;
  // The values that change results, not config.json's bytes, which exporters reorder freely.
  const std::string config =
      fmt::format("{} {} {} {} {} {} {} {:.17g} {}", c.layers, c.hidden, c.heads, c.intermediate,
                  c.vocabulary, c.max_positions, c.token_types, c.ln_eps, c.activation);
  return sha256_hex(fmt::format("weights {}\nconfig {}\ntokenizer {}\nmax_length {}\n",
                                folder.checkpoint().sha256(), config, tokenizer.fingerprint(),
                                folder.max_length));
}

text::Tokenizer open_tokenizer(const EncoderFolder& folder, text::SpecialTokens special_tokens) {
  text::Tokenizer tokenizer = text::Tokenizer::from_folder(folder.model, special_tokens);
  if (tokenizer.size() != folder.config.vocabulary) {
    throw Error(
        "E_VOCAB",
        fmt::format("{}: the vocabulary has {} tokens, config.json says vocab_size {}",
                    escaped(folder.model.string()), tokenizer.size(), folder.config.vocabulary),
        "use the vocabulary that belongs to these weights");
  }
  return tokenizer;
}

at::Device torch_device(Device device) { return at::Device(std::string(name(device))); }

// Mean over the tokens of each sequence, or its first token: [T, H] -> [m, H].
at::Tensor pool(const at::Tensor& states, std::span<const int32_t> lengths, Pooling pooling) {
  std::vector<at::Tensor> rows;
  int64_t token = 0;
  for (size_t i = 0; i < lengths.size();) {
    size_t end = i;
    while (end < lengths.size() && lengths[end] == lengths[i]) ++end;
    const auto count = static_cast<int64_t>(end - i);
    const at::Tensor block =
        states.narrow(0, token, count * lengths[i]).view({count, lengths[i], states.size(1)});
    rows.push_back(pooling == Pooling::kMean ? block.mean(1) : block.select(1, 0));
    token += count * lengths[i];
    i = end;
  }
  return at::cat(rows).cpu();
}

}  // namespace

std::string fingerprint(const EncoderSettings& settings) {
  const EncoderFolder folder = open_encoder_folder(settings.folder, settings.max_length);
  return fingerprint_of(folder, open_tokenizer(folder, settings.special_tokens));
}

Encoder::Encoder(EncoderSettings settings, const Compute& compute, int64_t batch_tokens,
                 std::shared_ptr<FeatureCache> cache, const RunContext& context)
    : settings_(std::move(settings)),
      compute_(compute),
      batch_tokens_(batch_tokens),
      cache_(std::move(cache)),
      context_(context),
      folder_(open_encoder_folder(settings_.folder, settings_.max_length)),
      tokenizer_(open_tokenizer(folder_, settings_.special_tokens)),
      fingerprint_(fingerprint_of(folder_, tokenizer_)) {}

void Encoder::load() {
  if (!model_) model_ = std::make_unique<Bert>(folder_, torch_device(compute_.device));
}

Encoder::Tokens Encoder::tokenise(std::span<const std::string_view> texts) {
  Tokens tokens;
  tokens.ids.resize(texts.size());
  at::parallel_for(0, static_cast<int64_t>(texts.size()), 64, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      tokens.ids[i] = tokenizer_.encode(texts[i], folder_.max_length).ids;
    }
  });
  for (const auto& ids : tokens.ids) tokens.lengths.push_back(static_cast<int32_t>(ids.size()));
  for (const int32_t length : tokens.lengths) counters_.tokens += length;
  return tokens;
}

TextLengths Encoder::lengths(std::span<const std::string_view> texts) const {
  TextLengths lengths{std::vector<int32_t>(texts.size()), 0};
  std::vector<char> truncated(texts.size());
  at::parallel_for(0, static_cast<int64_t>(texts.size()), 64, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const auto encoding = tokenizer_.encode(texts[i], folder_.max_length);
      lengths.tokens[i] = static_cast<int32_t>(encoding.ids.size());
      truncated[i] = encoding.truncated;
    }
  });
  lengths.truncated = std::count(truncated.begin(), truncated.end(), 1);
  return lengths;
}

const at::Tensor* Encoder::weight(const std::string& name) const {
  std::call_once(weights_read_, [&] {
    weights_ = std::make_unique<BertWeights>(folder_.checkpoint(), folder_.config,
                                             torch_device(Device::kCpu));
  });
  return weights_->find(name);
}

int64_t Encoder::flops(int64_t length) const {
  const int64_t h = folder_.config.hidden;
  return folder_.config.layers *
         (2 * (4 * h * h + 2 * h * folder_.config.intermediate) * length + 4 * h * length * length);
}

std::vector<int64_t> Encoder::fill_from_cache(std::span<const std::string_view> texts,
                                              const FeatureRequest& request, Features& out) {
  std::vector<int64_t> missing;
  const bool cacheable = cache_ && request.hidden.empty() && !request.tokens;
  for (int64_t row = 0; row < static_cast<int64_t>(texts.size()); ++row) {
    const Digest digest = cacheable ? sha256(texts[static_cast<size_t>(row)]) : Digest{};
    const bool hit =
        cacheable &&
        std::all_of(request.pooled.begin(), request.pooled.end(), [&](const PooledKey& key) {
          const float* cached = cache_->find(fingerprint_, key, folder_.config.hidden, digest);
          if (cached == nullptr) return false;
          std::copy_n(cached, folder_.config.hidden,
                      out.pooled.at(key).mutable_data_ptr<float>() + row * folder_.config.hidden);
          return true;
        });
    if (!hit) missing.push_back(row);
  }
  return missing;
}

Features Encoder::encode(std::span<const std::string_view> texts, const FeatureRequest& request,
                         std::string_view progress_label) {
  // Not InferenceMode: the gate is trained on these features, and autograd refuses inference
  // tensors.
  const at::NoGradGuard no_grad;
  Features out;
  out.texts.assign(texts.begin(), texts.end());
  const auto n = static_cast<int64_t>(texts.size());
  for (int64_t i = 0; i < n; ++i) out.row_ids.push_back(i);
  if (request.empty()) return out;

  for (const PooledKey& key : request.pooled)
    out.pooled[key] = at::empty({n, folder_.config.hidden}, at::kFloat);
  const std::vector<int64_t> missing = fill_from_cache(texts, request, out);
  counters_.texts += n;
  counters_.forwards += static_cast<int64_t>(missing.size());
  counters_.cache_hits += n - static_cast<int64_t>(missing.size());
  if (missing.empty()) return out;

  std::vector<std::string_view> missing_texts;
  for (const int64_t row : missing) missing_texts.push_back(texts[static_cast<size_t>(row)]);
  run_model(missing, request, tokenise(missing_texts), out, progress_label);
  return out;
}

void Encoder::settle(std::span<const int64_t> rows, Features& out) {
  if (cache_ == nullptr || rows.empty()) return;
  std::vector<std::string_view> texts;
  for (const int64_t row : rows) texts.push_back(out.texts[static_cast<size_t>(row)]);
  const at::Tensor index = index_tensor(rows);
  for (auto& [key, pooled] : out.pooled) {
    pooled.index_copy_(0, index,
                       cache_->settle(fingerprint_, key, texts, pooled.index_select(0, index)));
  }
}

void Encoder::allocate_ragged(const FeatureRequest& request, const Tokens& tokens,
                              Features& out) const {
  out.row_offsets.assign(1, 0);
  for (const int32_t length : tokens.lengths)
    out.row_offsets.push_back(out.row_offsets.back() + length);
  for (const int layer : request.hidden)
    out.hidden[layer] = at::empty({out.row_offsets.back(), folder_.config.hidden}, at::kFloat);
  if (!request.tokens) return;
  out.token_ids = at::empty({out.row_offsets.back()}, at::kInt);
  int32_t* destination = out.token_ids.mutable_data_ptr<int32_t>();
  for (const auto& ids : tokens.ids) destination = std::copy(ids.begin(), ids.end(), destination);
}

void Encoder::run_batch(std::span<const int64_t> batch, const at::Tensor& targets,
                        const FeatureRequest& request, const std::set<int>& layers,
                        const Tokens& tokens, Features& out) {
  std::vector<int32_t> lengths;
  int64_t total = 0;
  for (const int64_t i : batch) {
    lengths.push_back(tokens.lengths[static_cast<size_t>(i)]);
    total += lengths.back();
  }
  at::Tensor ids = at::empty({total}, at::kInt);
  int32_t* destination = ids.mutable_data_ptr<int32_t>();
  for (const int64_t i : batch) {
    const auto& own = tokens.ids[static_cast<size_t>(i)];
    destination = std::copy(own.begin(), own.end(), destination);
  }
  const std::map<int, at::Tensor> states = model_->forward(ids, lengths, layers);
  for (const PooledKey& key : request.pooled)
    out.pooled.at(key).index_copy_(0, targets, pool(states.at(key.layer), lengths, key.pooling));
  for (const int layer : request.hidden) {
    const at::Tensor state = states.at(layer).cpu();
    int64_t token = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      out.hidden.at(layer)
          .narrow(0, out.row_offsets[static_cast<size_t>(batch[i])], lengths[i])
          .copy_(state.narrow(0, token, lengths[i]));
      token += lengths[i];
    }
  }
}

void Encoder::run_model(std::span<const int64_t> rows, const FeatureRequest& request,
                        const Tokens& tokens, Features& out, std::string_view progress_label) {
  load();
  std::set<int> layers = request.hidden;
  for (const PooledKey& key : request.pooled) layers.insert(key.layer);
  // A ragged request takes no row from the cache.
  if (request.tokens || !request.hidden.empty()) allocate_ragged(request, tokens, out);

  std::optional<Progress> progress;
  if (!progress_label.empty())
    progress =
        context_.progress(std::string(progress_label), "text", static_cast<int64_t>(rows.size()));
  std::vector<int64_t> unsettled;
  for (const std::vector<int64_t>& batch : text::plan_batches(tokens.lengths, batch_tokens_)) {
    const bool stop = progress && context_.stop.requested();
    if (unsettled.size() >= kSettledTogether || stop) {
      settle(unsettled, out);
      unsettled.clear();
    }
    if (stop) {
      throw Error("E_INTERRUPTED", "encoding was interrupted",
                  cache_ ? "the same command continues: what was encoded is in the cache" : "");
    }
    std::vector<int64_t> targets;
    for (const int64_t i : batch) targets.push_back(rows[static_cast<size_t>(i)]);
    run_batch(batch, index_tensor(targets), request, layers, tokens, out);
    unsettled.insert(unsettled.end(), targets.begin(), targets.end());
    if (progress) progress->advance(static_cast<int64_t>(batch.size()));
  }
  settle(unsettled, out);
}

}  // namespace moecollab::encoder
