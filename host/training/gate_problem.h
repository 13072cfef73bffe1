// What a fit of the gate needs and the gate does not change, computed once.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <span>
#include <vector>

#include "base/run_context.h"
#include "fusion/fusion.h"
#include "gate/gate.h"
#include "training/gate_data.h"
#include "training/space_rows.h"
#include "training/space_shares.h"

namespace moecollab::training {

// N held-out texts and M others (GateData), E experts. All tensors are on one device, where a fit
// then computes. Only reads after construction, so several fits may share one from several threads.
class GateProblem {
 public:
  // What gates that set out from start() read of n texts.
  struct Inputs {
    at::Tensor z;           // [n, D] standardised
    at::Tensor log_shares;  // [n, E] of the second factor, if share_spaces() settled it

    Inputs rows(const at::Tensor& index) const;
    // [n, E] of such a gate.
    at::Tensor router_logits(const gate::Gate& gate) const { return gate.forward(z, log_shares); }
  };

  // Rows of logits that are not finite (policy nan = "mask") count as knowing nothing: uniform
  // over the expert's classes; they are warned about. Throws E_CONFIG for a top_k that E does not
  // allow.
  GateProblem(const GateData& data, std::vector<fusion::ExpertLabels> experts,
              fusion::LabelUnion labels, const std::vector<encoder::PooledKey>& features,
              fusion::Mode fusion, int64_t top_k, Log log, at::Device device = encoder::kHost);

  at::Device device() const { return inputs_.z.device(); }
  int64_t texts() const { return inputs_.z.size(0); }  // N
  // M; 0 under paper and masked
  int64_t routing_texts() const { return routing_inputs_.z.size(0); }
  const std::vector<fusion::ExpertLabels>& experts() const { return experts_; }
  const fusion::LabelUnion& labels() const { return labels_; }
  fusion::Mode fusion() const { return fusion_; }
  int64_t top_k() const { return top_k_; }
  // What a fit sets out from: the uniform linear gate, standardising by the statistics of the N
  // texts; after share_spaces() a gate in two factors, whose spaces are equal or as space_rows().
  const gate::Gate& start() const { return start_; }
  // What the experts of that space of labels() say of the held-out texts of that space.
  Opinions opinions(int space) const;
  // Fits how the experts of each space share it, which is settled from then on, and where texts are
  // few which space a text is of, from which a fit sets out. Under mixture only.
  // `guarded`: no pool is to lose texts to its best expert.
  void share_spaces(uint64_t seed, bool guarded, StopToken stop);
  // What the guard changed, by the expert's index among experts().
  const std::vector<ShareGuard>& share_guards() const { return share_guards_; }

  // By all N + M texts; nullopt unless these are few.
  const std::optional<SpaceRows>& space_rows() const { return space_rows_; }

  const Inputs& inputs() const { return inputs_; }                  // of the N texts
  const Inputs& routing_inputs() const { return routing_inputs_; }  // of the M others
  const at::Tensor& z() const { return inputs_.z; }
  const at::Tensor& targets() const { return targets_; }        // [N] int64, global label ids
  const std::vector<int>& domains() const { return domains_; }  // [N]
  int domain_count() const { return domain_count_; }  // up to the last that has a held-out text

  // Mean −log p(label) of the rows [n] int64 for their router logits [n, E], by all experts
  // whatever top_k is. Under `mixture` p is Σ g_e·p_e(label) from the stored probabilities, p_e
  // that of its pool if that is logarithmic; other modes go through fusion::fuse(). Here and below,
  // logits of P gates [P, n, E] give P losses.
  at::Tensor task_loss(const at::Tensor& router_logits, const at::Tensor& rows) const;
  // The same through fusion::fuse() whatever the mode.
  at::Tensor task_loss_by_fusion(const at::Tensor& router_logits, const at::Tensor& rows) const;
  // What the experts answer to these of the held-out texts, as a problem in the host's memory that
  // gates can be judged on by their router logits: it has no features.
  GateProblem answers_of(std::span<const int64_t> rows) const;
  // What fusion::fuse() gives for the rows [n] and their weights [n, E].
  at::Tensor fused(const at::Tensor& weights, const at::Tensor& rows) const;
  // Mean −log of the gate's mass on the experts of their own label space, for rows [n] of the M
  // texts and their router logits [n, E].
  at::Tensor routing_loss(const at::Tensor& router_logits, const at::Tensor& rows) const;

 private:
  void store_target_probabilities();
  void settle_space(int space, const Opinions& said, GuardedShares fitted);
  void find_space_rows(const std::vector<int>& spaces, uint64_t seed, StopToken stop);

  std::vector<fusion::ExpertLabels> experts_;
  std::vector<ShareGuard> share_guards_;
  std::optional<SpaceRows> space_rows_;
  fusion::LabelUnion labels_;
  fusion::Mode fusion_;
  int64_t top_k_;
  gate::Gate start_;
  Inputs inputs_, routing_inputs_;
  at::Tensor targets_, routing_spaces_;
  std::vector<int> domains_;
  std::vector<int64_t> seen_;  // as AnsweredTexts::seen
  int domain_count_ = 0;
  std::vector<at::Tensor> logits_;  // per expert [N, C_e], finite
  at::Tensor target_p_;             // [N, E], p_e(label of the text); only under mixture
  at::Tensor space_mask_;           // [spaces, E]: 0 if the expert answers in it, else −∞
};

}  // namespace moecollab::training
