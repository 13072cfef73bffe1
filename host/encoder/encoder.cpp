#include "encoder/encoder.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "encoder/identity.h"
#include "encoder/parallel.h"
#include "encoder/settled_batches.h"
#include "encoder/shared_rows.h"
#include "text/batching.h"

namespace moecollab::encoder {
namespace {

// Texts: what a killed run encodes again at most. A device stands still while they are settled.
constexpr size_t kSettledTogether = 4096, kSettledTogetherOnDevice = 65536;

std::vector<int64_t> rows_of(const std::vector<int64_t>& texts, std::span<const int64_t> rows) {
  std::vector<int64_t> own;
  for (const int64_t text : texts) own.push_back(rows[static_cast<size_t>(text)]);
  return own;
}

// use(i) for each text, on all threads.
template <typename Use>
void for_each_text(std::span<const std::string_view> texts, Use use) {
  for_each_chunk_in_parallel(texts.size(), [&](size_t first, size_t count) {
    for (size_t i = first; i < first + count; ++i) use(i);
  });
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
      tokenizer_(open_tokenizer(folder_, settings_.special_tokens)) {
  folder_.checkpoint();
}

const std::string& Encoder::fingerprint() const {
  std::call_once(fingerprinted_, [this] { fingerprint_ = fingerprint_of(folder_, tokenizer_); });
  return fingerprint_;
}

void Encoder::load() {
  if (model_ || passes_) return;
  if (compute_.device.is_cpu()) {
    model_ = std::make_unique<Bert>(folder_, compute_.precision, spare_);
  } else {
    passes_ = std::make_unique<DevicePasses>(folder_, compute_, context_.log);
  }
}

void Encoder::tokenise(std::span<const std::string_view> texts, bool all, Beginnings& passes) {
  passes.ids.resize(texts.size());
  for_each_text(texts, [&](size_t i) {
    if (passes.states[i] != nullptr && !all) return;
    passes.ids[i] = tokenizer_.encode(texts[i], folder_.max_length).ids;
  });
  for (size_t i = 0; i < texts.size(); ++i) {
    if (passes.states[i] != nullptr) continue;
    passes.lengths[i] = static_cast<int32_t>(passes.ids[i].size());
    counters_.tokens += passes.lengths[i];
  }
}

TextLengths Encoder::lengths(std::span<const std::string_view> texts) const {
  TextLengths lengths{std::vector<int32_t>(texts.size()), 0};
  std::vector<char> truncated(texts.size());
  for_each_text(texts, [&](size_t i) {
    const auto encoding = tokenizer_.encode(texts[i], folder_.max_length);
    lengths.tokens[i] = static_cast<int32_t>(encoding.ids.size());
    truncated[i] = encoding.truncated;
  });
  lengths.truncated = std::count(truncated.begin(), truncated.end(), 1);
  return lengths;
}

const at::Tensor* Encoder::weight(const std::string& name) const {
  std::call_once(weights_read_, [&] {
    weights_ = std::make_unique<BertWeights>(folder_.checkpoint(), folder_.config);
  });
  return weights_->find(name);
}

std::unique_ptr<Fork> Encoder::fork(int64_t blocks, const Blocks::WeightOf& weight) const {
  return make_fork(folder_.config, blocks, weight, compute_.device, batch_tokens_, spare_);
}

int64_t Encoder::flops(int64_t length, int64_t blocks) const {
  const int64_t h = folder_.config.hidden;
  return blocks *
         (2 * (4 * h * h + 2 * h * folder_.config.intermediate) * length + 4 * h * length * length);
}

// On the CPU equal shares for all threads, of a tile at least, so that none waits long.
std::vector<Encoder::Batch> Encoder::plan(std::span<const int64_t> texts,
                                          const Beginnings& passes) const {
  std::vector<Batch> batches;
  for (const bool resumed : {false, true}) {
    std::vector<int64_t> chosen;
    std::vector<int32_t> lengths;
    for (const int64_t text : texts) {
      const auto i = static_cast<size_t>(text);
      if ((passes.states[i] != nullptr) != resumed) continue;
      chosen.push_back(text);
      lengths.push_back(passes.lengths[i]);
    }
    const auto planned =
        compute_.device.is_cpu()
            ? text::plan_even_batches(
                  lengths, {.shares = at::get_num_threads(), .least = kTile, .most = batch_tokens_})
            : text::plan_batches(lengths, batch_tokens_);
    for (const std::vector<int64_t>& batch : planned) batches.push_back(rows_of(batch, chosen));
  }
  return batches;
}

std::vector<int64_t> Encoder::fill_from_cache(std::span<const std::string_view> texts,
                                              const FeatureRequest& request,
                                              const Beginnings& passes, Features& out) {
  std::vector<int64_t> missing;
  for (int64_t row = 0; row < static_cast<int64_t>(texts.size()); ++row) {
    const auto i = static_cast<size_t>(row);
    // A pass that is to stop again would have to begin with the tokens later.
    const bool looked_up = cache_ && !(request.stop_at && passes.states[i] != nullptr);
    const Digest digest = looked_up ? sha256(texts[i]) : Digest{};
    const bool hit =
        looked_up &&
        std::all_of(request.pooled.begin(), request.pooled.end(), [&](const PooledKey& key) {
          const float* cached = cache_->find(fingerprint(), key, folder_.config.hidden, digest);
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
  Features out;
  out.texts.assign(texts.begin(), texts.end());
  const auto n = static_cast<int64_t>(texts.size());
  for (int64_t i = 0; i < n; ++i) out.row_ids.push_back(i);
  if (request.empty()) return out;
  counters_.texts += n;
  Beginnings passes;
  passes.states.resize(texts.size());
  passes.lengths.resize(texts.size());
  const int64_t forwards = add(request, passes, out, progress_label);
  counters_.forwards += forwards;
  counters_.cache_hits += n - forwards;
  return out;
}

Features Encoder::deepen(const Features& from, std::span<const int64_t> rows,
                         const FeatureRequest& request, std::string_view progress_label) {
  Features out = from.part(request).select(rows);
  FeatureRequest rest = request;
  std::erase_if(rest.pooled, [&](const PooledKey& key) { return out.pooled.contains(key); });
  std::erase_if(rest.hidden, [&](int layer) { return out.hidden.contains(layer); });
  rest.tokens = request.tokens && !out.token_ids.defined();
  if (rest.empty()) return out;
  // Such a text's first features were cached, so that it counted as a hit.
  const int64_t forwards = add(rest, stopped_passes(from, rows, rest), out, progress_label);
  counters_.forwards += forwards;
  counters_.cache_hits -= forwards;
  return out;
}

Encoder::Beginnings Encoder::stopped_passes(const Features& from, std::span<const int64_t> rows,
                                            const FeatureRequest& request) {
  Beginnings passes;
  passes.states.resize(rows.size());
  passes.lengths.resize(rows.size());
  if (!from.stopped) return passes;
  passes.layer = from.stopped->layer;
  const bool lower = std::ranges::any_of(request.hidden, [&](int l) { return l < passes.layer; }) ||
                     std::ranges::any_of(request.pooled, [&](const PooledKey& key) {
                       return key.layer < passes.layer;
                     });
  if (lower) return passes;
  const float* states = from.stopped->states.const_data_ptr<float>();
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t* offset = from.stopped->row_offsets.data() + rows[i];
    passes.lengths[i] = offset[1] - offset[0];
    if (passes.lengths[i] > 0) passes.states[i] = states + offset[0] * from.stopped->states.size(1);
  }
  return passes;
}

int64_t Encoder::add(const FeatureRequest& request, const Beginnings& passes, Features& out,
                     std::string_view progress_label) {
  // Not InferenceMode: the gate is trained on these features, and autograd refuses inference
  // tensors.
  const at::NoGradGuard no_grad;
  for (const PooledKey& key : request.pooled)
    out.pooled[key] = at::empty({out.rows(), folder_.config.hidden}, at::kFloat);
  std::vector<int64_t> missing = fill_from_cache(out.texts, request, passes, out);
  FeatureRequest pass = request;
  if (request.tokens || !request.hidden.empty()) {
    // The cache holds no states. If it holds all else, no block above theirs is run.
    if (missing.empty()) pass.pooled.clear();
    missing.resize(out.texts.size());
    std::iota(missing.begin(), missing.end(), 0);
  }
  std::vector<std::string_view> texts;
  Beginnings begun;
  begun.layer = passes.layer;
  for (const int64_t row : missing) {
    const auto i = static_cast<size_t>(row);
    texts.push_back(out.texts[i]);
    begun.states.push_back(passes.states[i]);
    begun.lengths.push_back(passes.lengths[i]);
  }
  tokenise(texts, request.tokens, begun);
  if (request.stop_at) allocate_stopped(*request.stop_at, begun, missing, out);
  if (!missing.empty()) run_model(missing, pass, begun, out, progress_label);
  const auto forwards = std::ranges::count(begun.states, nullptr);
  counters_.blocks += forwards * pass.depth() +
                      (std::ssize(missing) - forwards) * std::max(0, pass.depth() - begun.layer);
  return forwards;
}

void Encoder::settle(std::span<const int64_t> rows, const FeatureRequest& request, Features& out) {
  if (cache_ == nullptr || rows.empty()) return;
  std::vector<std::string_view> texts;
  for (const int64_t row : rows) texts.push_back(out.texts[static_cast<size_t>(row)]);
  const at::Tensor index = index_tensor(rows);
  for (const PooledKey& key : request.pooled) {
    at::Tensor& pooled = out.pooled.at(key);
    pooled.index_copy_(0, index,
                       cache_->settle(fingerprint(), key, texts, pooled.index_select(0, index)));
  }
}

void Encoder::allocate_ragged(const FeatureRequest& request, const Beginnings& passes,
                              Features& out) const {
  out.row_offsets.assign(1, 0);
  for (const int32_t length : passes.lengths)
    out.row_offsets.push_back(out.row_offsets.back() + length);
  const at::ScalarType type = request.bf16_states ? at::kBFloat16 : at::kFloat;
  for (const int layer : request.hidden)
    out.hidden[layer] = at::empty({out.row_offsets.back(), folder_.config.hidden}, type);
  if (!request.tokens) return;
  out.token_ids = at::empty({out.row_offsets.back()}, at::kInt);
  int32_t* destination = out.token_ids.mutable_data_ptr<int32_t>();
  for (const auto& ids : passes.ids) destination = std::copy(ids.begin(), ids.end(), destination);
}

void Encoder::allocate_stopped(int layer, const Beginnings& passes, std::span<const int64_t> rows,
                               Features& out) const {
  StoppedPasses stopped{layer, std::vector<int32_t>(out.texts.size() + 1), {}};
  for (size_t i = 0; i < rows.size(); ++i)
    stopped.row_offsets[static_cast<size_t>(rows[i]) + 1] = passes.lengths[i];
  std::partial_sum(stopped.row_offsets.begin(), stopped.row_offsets.end(),
                   stopped.row_offsets.begin());
  stopped.states = at::empty({stopped.row_offsets.back(), folder_.config.hidden}, at::kFloat);
  out.stopped = std::move(stopped);
}

PassStart Encoder::beginning(const Batch& texts, const Beginnings& passes) {
  PassStart start;
  start.layer = passes.layer;
  for (const int64_t text : texts) {
    const auto i = static_cast<size_t>(text);
    if (passes.states[i] != nullptr) {
      start.states.push_back(passes.states[i]);
    } else {
      start.ids.insert(start.ids.end(), passes.ids[i].begin(), passes.ids[i].end());
    }
    start.lengths.push_back(passes.lengths[i]);
  }
  return start;
}

void Encoder::run_on_cpu(std::span<const Batch> batches, const Run& run) const {
  std::set<int> layers = run.request.hidden;
  if (run.request.stop_at) layers.insert(*run.request.stop_at);
  for (const PooledKey& key : run.request.pooled) layers.insert(key.layer);
  for_each_batch(std::ssize(batches), [&](int64_t i, int64_t threads) {
    if (run.stopped()) return;
    const Batch& batch = batches[static_cast<size_t>(i)];
    const PassStart start = beginning(batch, run.passes);
    const std::vector<int64_t> rows = rows_of(batch, run.rows);
    const Bert::Sink sink = [&](int layer, const States& states) {
      run.features.take(layer, states, start.lengths, rows, model_->kernels());
    };
    if (start.states.empty()) {
      model_->forward(start.ids, start.lengths, layers, sink, threads);
    } else {
      model_->resume(start.layer, start.states, start.lengths, layers, sink, threads);
    }
    run.ended(batch);
  });
}

void Encoder::run_on_device(std::span<const Batch> batches, const Run& run) const {
  FeatureRequest request = run.request;
  if (request.stop_at) request.hidden.insert(*request.stop_at);
  const auto begin = [&](const Batch& batch) { return beginning(batch, run.passes); };
  const auto deliver = [&](const Batch& batch, const PassResult& result) {
    std::vector<int32_t> lengths;
    std::vector<int64_t> first_token = {0};
    for (const int64_t text : batch) {
      lengths.push_back(run.passes.lengths[static_cast<size_t>(text)]);
      first_token.push_back(first_token.back() + lengths.back());
    }
    const std::vector<int64_t> rows = rows_of(batch, run.rows);
    for_each_chunk_in_parallel(batch.size(), [&](size_t first, size_t count) {
      const auto of_chunk = [&](const auto& all) { return std::span(all).subspan(first, count); };
      const auto first_row = static_cast<int64_t>(first), n = static_cast<int64_t>(count);
      for (const auto& [key, pooled] : result.pooled)
        run.features.take(key, pooled.narrow(0, first_row, n), of_chunk(lengths), of_chunk(rows));
      for (const auto& [layer, states] : result.states) {
        const int64_t width = states.size(1);
        run.features.keep(layer,
                          {states.const_data_ptr<float>() + first_token[first] * width, width},
                          of_chunk(lengths), of_chunk(rows));
      }
    });
    run.ended(batch);
  };
  passes_->run(batches, run.passes.lengths, request, begin, deliver, run.stopped);
}

void Encoder::run_model(std::span<const int64_t> rows, const FeatureRequest& request,
                        const Beginnings& passes, Features& out, std::string_view progress_label) {
  load();
  if (request.tokens || !request.hidden.empty()) allocate_ragged(request, passes, out);
  FeatureRows features(settings_.folder.string(), compute_.precision, request, out);
  std::optional<Progress> progress;
  if (!progress_label.empty())
    progress =
        context_.progress(std::string(progress_label), "text", static_cast<int64_t>(rows.size()));
  std::mutex reporting;
  std::vector<char> done(rows.size());  // of the texts
  // What this rank has done stands for all: they have equal shares.
  int64_t unseen = std::ssize(rows);
  const Run run{request,
                passes,
                rows,
                features,
                [&] { return progress && context_.stop.requested(); },
                [&](const Batch& batch) {
                  for (const int64_t text : batch) done[static_cast<size_t>(text)] = 1;
                  const std::lock_guard lock(reporting);
                  const int64_t seen =
                      std::min(unseen, std::ssize(batch) * (ranks_ ? ranks_->size() : 1));
                  unseen -= seen;
                  if (progress) progress->advance(seen);
                }};
  const auto finish = [&](std::span<const int64_t> texts) {
    const std::vector<Batch> batches = plan(texts, passes);
    for (const auto group :
         settled_together(batches, passes_ ? kSettledTogetherOnDevice : kSettledTogether)) {
      passes_ ? run_on_device(group, run) : run_on_cpu(group, run);
      if (!request.pooled.empty()) settle(rows_of_done(group, done, rows), request, out);
      if (run.stopped()) {
        throw Error("E_INTERRUPTED", "encoding was interrupted",
                    cache_ ? "the same command continues: what was encoded is in the cache" : "");
      }
    }
  };
  if (ranks_ == nullptr) {
    std::vector<int64_t> all(rows.size());
    std::iota(all.begin(), all.end(), 0);
    return finish(all);
  }
  const Shards shards = deal(passes.lengths);
  for (const int shard : own_shards(*ranks_)) finish(shards[static_cast<size_t>(shard)]);
  share_rows(*ranks_, shards, rows, request, out);
}

}  // namespace moecollab::encoder
