// The whole system: one text in, one answer out of many experts.
#pragma once

#include <ATen/ATen.h>

#include <atomic>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fusion/fusion.h"
#include "gate/gate.h"
#include "pipeline/open_gate.h"
#include "pipeline/outputs.h"
#include "pipeline/pool.h"

namespace moecollab::pipeline {

// n texts whose experts are chosen, encoded as deep as those read.
struct RoutedTexts {
  EncodedTexts encoded;
  std::vector<Outputs> known;  // per expert
  at::Tensor router_logits;    // [n, E]
  at::Tensor weights;          // [n, E], rows sum to 1; 0 = not to be asked
};

// What the collaboration says of n texts.
struct Answers {
  at::Tensor router_logits;        // [n, E]
  at::Tensor weights;              // [n, E], rows sum to 1; 0 = not asked
  std::vector<at::Tensor> logits;  // per expert [n, C_e]; 0 in the rows that it was not asked for
  at::Tensor fused;                // as fusion::fuse() gives it
};

// Encoder, experts, gate and fusion as one. Borrows the pool. Not thread-safe.
class Collaboration {
 public:
  Collaboration(Pool& pool, RoutedGate routed, fusion::Mode fusion, int64_t top_k);

  // Reads top to bottom as the system: encode once, route, ask, fuse.
  Answers answer(std::span<const std::string_view> texts);
  // Its first half, if some answers are known already, by expert. The encoder runs to the gate's
  // layer; then only texts continue whose experts read deeper ones and must still be asked. What
  // `others` read of every text is encoded beside.
  RoutedTexts route(std::span<const std::string_view> texts, std::vector<Outputs> known,
                    std::span<const encoder::FeatureRequest> others = {},
                    std::string_view progress_label = {});
  // The same of texts whose features are request(known, others).
  RoutedTexts route(encoder::Features features, std::vector<Outputs> known,
                    std::span<const encoder::FeatureRequest> others = {},
                    std::string_view progress_label = {});
  // Its second half. What experts answer now is kept in the pool's cache and added to what is
  // known. Another thread may route other texts meanwhile, if the pool has no cache.
  Answers answer(RoutedTexts& texts);

  // What the cache holds of each expert's answers.
  std::vector<Outputs> recall_outputs(std::span<const std::string_view> texts) const;
  // What is encoded of every text before the gate chooses.
  encoder::FeatureRequest request(const std::vector<Outputs>& known,
                                  std::span<const encoder::FeatureRequest> others = {}) const;
  const std::vector<InstalledExpert*>& experts() const { return routed_.experts; }
  const std::vector<fusion::ExpertLabels>& expert_labels() const { return routed_.labels; }
  const gate::Gate& gate() const { return routed_.gate; }
  fusion::Mode fusion() const { return fusion_; }
  int64_t top_k() const { return top_k_; }
  Pool& pool() { return pool_; }

 private:
  // Who reads more of the routed texts than the gate.
  std::vector<Reader> deeper_readers(const RoutedTexts& texts,
                                     std::span<const encoder::FeatureRequest> others) const;
  int64_t left() const;  // experts that are still asked
  // As they are asked now.
  at::Tensor weights_of(const at::Tensor& router_logits) const;
  std::vector<at::Tensor> ask(RoutedTexts& texts);
  // What ask() gives if nobody fails; who fails is left out from then on, or its error thrown.
  // What a try has added to an expert's counts: texts that it was asked for, that were cached of
  // these, and that its code answered.
  struct Counted {
    int64_t calls = 0, cached = 0, ran = 0;
  };
  std::optional<std::vector<at::Tensor>> try_to_ask(RoutedTexts& texts,
                                                    std::vector<Counted>& counted);
  bool reroute(RoutedTexts& texts) const;
  // Routes the texts to the others, or throws the error, which is the one being handled, on.
  void drop(size_t expert, RoutedTexts& texts, const Error& error);
  // Per expert that threads answer at the same time, what it gives for the rows that it must be
  // asked for; undefined for all others, and for all if there is too little to share.
  std::vector<at::Tensor> answer_side_by_side(const RoutedTexts& texts,
                                              const std::vector<std::vector<int64_t>>& routed);

  Pool& pool_;
  RoutedGate routed_;
  fusion::Mode fusion_;
  int64_t top_k_;
  std::vector<std::atomic<bool>> dropped_;  // [E] failed in this run, and not asked any more
  at::Tensor caps_;  // [E] weight_cap of registry.toml; undefined if there is none
};

// [E] weight_cap of registry.toml for these experts, 1 for one that has none, and for those on
// probation no more than the policy's probation_weight_cap; undefined if none has any.
at::Tensor weight_caps(const Pool& pool, std::span<const InstalledExpert* const> experts,
                       std::span<const RoutedGate::Unfitted> unfitted = {});

// Features with texts and row ids only, for experts that use no encoder.
encoder::Features features_of(Pool& pool, std::span<const std::string_view> texts,
                              const encoder::FeatureRequest& request,
                              std::string_view progress_label = {});

}  // namespace moecollab::pipeline
