#include "training/text_collection.h"

#include <ATen/core/grad_mode.h>

#include "data/hold_out.h"
#include "pipeline/collaboration.h"
#include "pipeline/targets.h"
#include "training/honest_logits.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

// Streams of the seed that no training epoch uses.
constexpr int64_t kHeldOutStream = -2, kOtherStream = -3;

void append_shuffled(const std::vector<int64_t>& from, uint64_t seed, int64_t stream,
                     std::vector<int64_t>& to) {
  for (const int64_t i : shuffled(static_cast<int64_t>(from.size()), seed, stream))
    to.push_back(from[static_cast<size_t>(i)]);
}

// What a gate with these features reads; no columns if there is no gate.
at::Tensor read_by_gate(const std::vector<encoder::PooledKey>& features,
                        const encoder::Features& encoded) {
  return features.empty() ? at::zeros({encoded.rows(), 0}) : gate::side_by_side(features, encoded);
}

// The chosen texts in order, for the encoder. Sets spaces, domains and domain_of of the rows.
std::vector<std::string_view> begin_rows(const std::vector<ChosenTexts>& chosen,
                                         AnsweredTexts& rows) {
  std::vector<std::string_view> texts;
  std::vector<int64_t> spaces;
  for (const ChosenTexts& part : chosen) {
    for (const int64_t i : part.examples) {
      texts.push_back(part.dataset->examples[static_cast<size_t>(i)].text);
      spaces.push_back(part.space);
      rows.domain_of.push_back(index_among(rows.domains, part.dataset->domain));
    }
  }
  if (!texts.empty()) rows.spaces = encoder::index_tensor(spaces);
  return texts;
}

at::Tensor targets_of(const std::vector<ChosenTexts>& chosen, const fusion::LabelUnion& labels) {
  std::vector<int64_t> targets;
  for (const ChosenTexts& part : chosen) {
    if (part.examples.empty()) continue;
    const std::vector<int> ids = pipeline::target_ids(*part.dataset, labels, part.space);
    for (const int64_t i : part.examples) targets.push_back(ids[static_cast<size_t>(i)]);
  }
  return encoder::index_tensor(targets);
}

}  // namespace

std::vector<int64_t> held_out_first(const data::Dataset& dataset, uint64_t seed,
                                    int64_t& held_out) {
  const std::vector<bool> chosen = data::held_out(dataset);
  std::vector<int64_t> held, others, order;
  for (size_t i = 0; i < chosen.size(); ++i)
    (chosen[i] ? held : others).push_back(static_cast<int64_t>(i));
  held_out = static_cast<int64_t>(held.size());
  append_shuffled(held, seed, kHeldOutStream, order);
  append_shuffled(others, seed, kOtherStream, order);
  return order;
}

AnsweredTexts collect_answered_texts(pipeline::Pool& pool, const fusion::LabelUnion& labels,
                                     const std::vector<pipeline::InstalledExpert*>& experts,
                                     const std::vector<encoder::PooledKey>& features,
                                     const std::vector<ChosenTexts>& chosen,
                                     std::string_view what) {
  const at::NoGradGuard no_grad;
  AnsweredTexts rows;
  const std::vector<std::string_view> texts = begin_rows(chosen, rows);
  if (texts.empty()) return rows;
  rows.targets = targets_of(chosen, labels);
  encoder::FeatureRequest request;
  request.pooled.insert(features.begin(), features.end());
  std::vector<HonestLogits> answers;
  for (const pipeline::InstalledExpert* expert : experts) {
    std::vector<bool> own;
    for (const int domain : rows.domain_of)
      own.push_back(rows.domains[static_cast<size_t>(domain)] == expert->domain());
    answers.push_back(known_logits(pool, *expert, texts, own));
    if (!answers.back().to_run.empty()) request.merge(expert->expert->request());
  }
  const encoder::Features encoded = pipeline::features_of(pool, texts, request, what);
  rows.z = read_by_gate(features, encoded);
  for (size_t e = 0; e < experts.size(); ++e) {
    ask_missing(pool, *experts[e], encoded, answers[e]);
    rows.logits.push_back(std::move(answers[e].logits));
    rows.seen.push_back(answers[e].unknown);
  }
  return rows;
}

AnsweredTexts collect_unanswered_texts(pipeline::Pool& pool,
                                       const std::vector<pipeline::InstalledExpert*>& experts,
                                       const std::vector<encoder::PooledKey>& features,
                                       const std::vector<ChosenTexts>& chosen,
                                       std::string_view what) {
  const at::NoGradGuard no_grad;
  AnsweredTexts rows;
  const std::vector<std::string_view> texts = begin_rows(chosen, rows);
  if (texts.empty()) return rows;
  const auto n = static_cast<int64_t>(texts.size());
  encoder::FeatureRequest request;
  request.pooled.insert(features.begin(), features.end());
  rows.z = read_by_gate(features, pipeline::features_of(pool, texts, request, what));
  rows.targets = at::full({n}, -1, at::kLong);
  for (const pipeline::InstalledExpert* expert : experts)
    rows.logits.push_back(at::zeros({n, expert->expert->classes()}));
  rows.seen.assign(experts.size(), 0);
  return rows;
}

}  // namespace moecollab::training
