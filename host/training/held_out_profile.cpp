#include "training/held_out_profile.h"

#include <algorithm>

#include "encoder/features.h"

namespace moecollab::training {
namespace {

AnsweredTexts answered_by_all(const AnsweredTexts& texts) {
  at::Tensor known = at::ones({texts.rows()}, at::kBool);
  for (size_t e = 0; e < texts.logits.size(); ++e) known.logical_and_(texts.is_known(e));
  return texts.select(known.nonzero().flatten());
}

// The ids of the labels that are answered [n]; none if the fusion answers in known domains only.
std::vector<int> answers(const GrownGate& gate, const at::Tensor& router_logits,
                         const fusion::LabelUnion& labels, fusion::Mode fusion, int64_t top_k,
                         const AnsweredTexts& texts) {
  if (!fusion::is_task_agnostic(fusion)) return {};
  at::Tensor weights = gate::routing_weights(router_logits, std::min(top_k, router_logits.size(1)));
  if (gate.caps.defined()) weights = gate::capped(weights, gate.caps);
  const at::Tensor fused = fusion::fuse(fusion, weights, texts.logits, gate.experts, labels);
  return encoder::to_ints(fusion::predict(fusion, fused, labels, std::nullopt));
}

}  // namespace

evaluation::Profiles held_out_profiles(const GrownGate& gate, std::span<const std::string> names,
                                       const fusion::LabelUnion& labels, fusion::Mode fusion,
                                       int64_t top_k, const AnsweredTexts& texts) {
  evaluation::Profiles profiles;
  const AnsweredTexts known = answered_by_all(texts);
  if (known.rows() == 0) return profiles;
  const at::Tensor router_logits = gate.gate.router_logits(known.z);
  const std::vector<int> ids = answers(gate, router_logits, labels, fusion, top_k, known);
  const std::vector<int> spaces = encoder::to_ints(known.spaces);
  const std::vector<double> shares = encoder::to_doubles(at::softmax(router_logits, -1));
  for (size_t i = 0; i < spaces.size(); ++i) {
    profiles[labels.spaces()[static_cast<size_t>(spaces[i])].name].add(
        names, std::span(shares).subspan(i * names.size(), names.size()),
        ids.empty() ? "" : evaluation::answer_name(labels, ids[i]));
  }
  return profiles;
}

}  // namespace moecollab::training
