// The whole system: one text in, one answer out of many experts.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string_view>
#include <vector>

#include "fusion/fusion.h"
#include "gate/gate.h"
#include "pipeline/pool.h"

namespace moecollab::pipeline {

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
  // experts[i] has row i of the gate.
  Collaboration(Pool& pool, std::vector<InstalledExpert*> experts, gate::Gate gate,
                fusion::Mode fusion, int64_t top_k);

  // Reads top to bottom as the system: encode once, route, ask, fuse.
  Answers answer(std::span<const std::string_view> texts);
  // The same from features that are there already (they must hold request()).
  Answers answer(const encoder::Features& features);

  // What gate and experts read of a text, together.
  const encoder::FeatureRequest& request() const { return request_; }
  const std::vector<InstalledExpert*>& experts() const { return experts_; }
  const std::vector<fusion::ExpertLabels>& expert_labels() const { return expert_labels_; }
  const gate::Gate& gate() const { return gate_; }
  fusion::Mode fusion() const { return fusion_; }
  int64_t top_k() const { return top_k_; }
  Pool& pool() { return pool_; }

 private:
  std::vector<at::Tensor> ask(const encoder::Features& features, at::Tensor& weights);

  Pool& pool_;
  std::vector<InstalledExpert*> experts_;
  std::vector<fusion::ExpertLabels> expert_labels_;
  gate::Gate gate_;
  fusion::Mode fusion_;
  int64_t top_k_;
  encoder::FeatureRequest request_;
};

// Logits [rows, C] of one expert for some rows of the features, counted as its calls. Elements that
// are not finite are handled by `nan_policy` ("fail" throws E_OUT_NONFINITE; "mask" leaves them to
// the caller).
at::Tensor ask_expert(InstalledExpert& expert, const encoder::Features& features,
                      std::span<const int64_t> rows, const std::string& nan_policy);

// Features with texts and row ids only, for experts that use no encoder.
encoder::Features features_of(Pool& pool, std::span<const std::string_view> texts,
                              const encoder::FeatureRequest& request,
                              std::string_view progress_label = {});

}  // namespace moecollab::pipeline
