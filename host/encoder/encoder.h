// The shared encoder: texts in, features out, each text encoded once.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/compute.h"
#include "base/ranks.h"
#include "base/run_context.h"
#include "encoder/bert.h"
#include "encoder/bert_weights.h"
#include "encoder/device_passes.h"
#include "encoder/encoder_folder.h"
#include "encoder/feature_cache.h"
#include "encoder/feature_rows.h"
#include "encoder/features.h"
#include "encoder/fork.h"
#include "text/tokenizer.h"

namespace moecollab::encoder {

struct EncoderSettings {
  fs::path folder;                // as open_encoder_folder() takes it
  std::optional<int> max_length;  // tokens, [CLS] and [SEP] included; none: the encoder's default
  text::SpecialTokens special_tokens = text::SpecialTokens::kSplit;
};

// Identity by content of weights, config, tokenizer, maximum length and special-token policy: equal
// fingerprints give equal features. 64 hexadecimal digits; reads the files, not the model.
std::string fingerprint(const EncoderSettings& settings);

// What encoding cost so far.
struct EncoderCounters {
  int64_t texts = 0;       // asked for
  int64_t forwards = 0;    // texts that went through the model
  int64_t cache_hits = 0;  // texts answered from the cache
  int64_t blocks = 0;      // of the model that were run, summed over the texts
  int64_t tokens = 0;      // real tokens of the texts that were tokenised
};

// Lengths of some texts, special tokens included, after truncation.
struct TextLengths {
  std::vector<int32_t> tokens;  // a number per text
  int64_t truncated = 0;        // texts longer than the maximum
};

// Tokenizer and model under one roof. The model is loaded at the first text that needs it, so a run
// whose features are all cached never reads the weights. Not thread-safe.
class Encoder {
 public:
  // batch_tokens: real tokens of one forward pass at most. On the CPU a thread runs each, or all
  // threads share each if there are fewer than threads. `cache`: where pooled features are kept, or
  // none.
  Encoder(EncoderSettings settings, const Compute& compute, int64_t batch_tokens,
          std::shared_ptr<FeatureCache> cache, const RunContext& context);

  const BertConfig& config() const { return folder_.config; }
  const EncoderSettings& settings() const { return settings_; }
  int max_length() const { return folder_.max_length; }
  // What its folder says and is done otherwise, a sentence each.
  const std::vector<std::string>& notes() const { return folder_.notes; }
  // As fingerprint() of its settings. The first call reads the weights' file. Thread-safe.
  const std::string& fingerprint() const;
  const EncoderCounters& counters() const { return counters_; }

  // Features of the texts in their order; every text is encoded at most once, in length-sorted
  // batches. A text longer than the maximum is truncated. `row_ids` are 0, 1, …. With a
  // progress label, throws E_INTERRUPTED between two batches if a stop is requested; what was
  // encoded is in the cache then. Throws E_ENCODER for features that are not finite.
  Features encode(std::span<const std::string_view> texts, const FeatureRequest& request,
                  std::string_view progress_label = {});

  // The features of some rows of `from`, as encode() gives them for those texts: what `from` holds
  // is taken from it, and for the rest a pass continues where it stopped, if it did and nothing of
  // the rest is lower, or else begins with the tokens.
  Features deepen(const Features& from, std::span<const int64_t> rows,
                  const FeatureRequest& request, std::string_view progress_label = {});

  // The weight of Hugging Face's BertModel of that name, without "bert.": float32 on the CPU, read
  // at the first call; nullptr if there is none. Valid as long as the encoder. Thread-safe.
  const at::Tensor* weight(const std::string& name) const;

  Device device() const { return compute_.device; }
  int64_t batch_tokens() const { return batch_tokens_; }
  // An expert's own blocks, in passes like its own. Thread-safe.
  std::unique_ptr<Fork> fork(int64_t blocks, const Blocks::WeightOf& weight) const;

  // From now on each of these ranks computes a share of the passes, and all get all features, if
  // all call encode() and deepen() alike; none: back to all passes. The encoder must have no cache:
  // what is cached differs from host to host.
  void share_passes(Ranks* ranks) { ranks_ = ranks; }

  // Loads and prepares the model now, for callers that time encode().
  void load();

  // Tokenises them again, so that the answer is the same whatever is cached.
  TextLengths lengths(std::span<const std::string_view> texts) const;
  // Operations of one pass over a text of that many tokens (2 per multiply-add): all blocks, or the
  // first ones.
  int64_t flops(int64_t length) const { return flops(length, folder_.config.layers); }
  int64_t flops(int64_t length, int64_t blocks) const;

 private:
  // What passes over some texts begin with.
  struct Beginnings {
    std::vector<std::vector<int32_t>> ids;
    std::vector<int32_t> lengths;
    std::vector<const float*> states;  // of `layer`; nullptr: the pass begins with the tokens
    int layer = 0;
  };
  // Where the passes over `rows` stopped, for who asks for `request` next.
  static Beginnings stopped_passes(const Features& from, std::span<const int64_t> rows,
                                   const FeatureRequest& request);
  // Adds the ids of texts whose passes begin with them, and of all if `all`.
  void tokenise(std::span<const std::string_view> texts, bool all, Beginnings& passes);
  // Adds the request to `out`, whose texts begin as `passes` says; how many went through the model
  // from their tokens.
  int64_t add(const FeatureRequest& request, const Beginnings& passes, Features& out,
              std::string_view progress_label);
  // Rows of `texts` that some pooled feature of the request is not cached for; the others are
  // filled.
  std::vector<int64_t> fill_from_cache(std::span<const std::string_view> texts,
                                       const FeatureRequest& request, const Beginnings& passes,
                                       Features& out);
  // Texts of one pass, by their index among those that need one; all of them begin alike, with
  // tokens or with states.
  using Batch = std::vector<int64_t>;
  std::vector<Batch> plan(std::span<const int64_t> texts, const Beginnings& passes) const;
  static PassStart beginning(const Batch& texts, const Beginnings& passes);
  // A pass for each text, whose row of the features is rows[i].
  void run_model(std::span<const int64_t> rows, const FeatureRequest& request,
                 const Beginnings& passes, Features& out, std::string_view progress_label);
  // Room for the token ids and token states of all texts.
  void allocate_ragged(const FeatureRequest& request, const Beginnings& passes,
                       Features& out) const;
  // Room for the states of the texts that are run, which are `rows`.
  void allocate_stopped(int layer, const Beginnings& passes, std::span<const int64_t> rows,
                        Features& out) const;
  // What passes over some batches need beside these.
  struct Run {
    const FeatureRequest& request;
    const Beginnings& passes;
    std::span<const int64_t> rows;
    FeatureRows& features;
    std::function<bool()> stopped;
    std::function<void(const Batch&)> ended;  // the features of these texts are there
  };
  void run_on_cpu(std::span<const Batch> batches, const Run& run) const;
  void run_on_device(std::span<const Batch> batches, const Run& run) const;
  // What these rows hold becomes what the cache holds for their texts.
  void settle(std::span<const int64_t> rows, const FeatureRequest& request, Features& out);

  EncoderSettings settings_;
  Compute compute_;
  int64_t batch_tokens_;
  std::shared_ptr<FeatureCache> cache_;
  RunContext context_;
  Ranks* ranks_ = nullptr;
  EncoderFolder folder_;
  text::Tokenizer tokenizer_;
  mutable std::once_flag fingerprinted_;
  mutable std::string fingerprint_;
  std::shared_ptr<SpareBuffers> spare_ = std::make_shared<SpareBuffers>();
  std::unique_ptr<Bert> model_;           // on the CPU
  std::unique_ptr<DevicePasses> passes_;  // on another device
  mutable std::once_flag weights_read_;
  mutable std::unique_ptr<BertWeights> weights_;  // for experts that fork; most runs need none
  EncoderCounters counters_;
};

}  // namespace moecollab::encoder
